"""`LayerFS` passes PyFilesystem2's own conformance suite, whatever the stack.

The suite wants an empty file system: everything below was removed, and names return over whiteouts. Not `foo`: the
suite asks `hassyspath` of it (test_layerfs.py, test_hassyspath_is_false_where_a_rename_would_uncover).
"""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from typing import Any

from rootlay.store.model.digest import Digest
from rootlay.vfs import Container, Store
from rootlay.vfs.overlay.overlay import Overlay
from rootlay.vfs.pyfs.layerfs import LayerFS
from tests.support.archives.make import docker_archive, make_tar
from tests.support.oracles.memory_view import directory, file, symlink
from tests.vfs.conftest import StackBuilder

if not hasattr(unittest.TestCase, "assertRaisesRegexp"):  # Python 3.12 removed what fs.test uses
    unittest.TestCase.assertRaisesRegexp = unittest.TestCase.assertRaisesRegex

from fs.test import FSTestCases


class LayerFSCases(FSTestCases):
    """The suite over a stack that `make_stack` builds."""

    def make_stack(self, builder: StackBuilder) -> Overlay:
        raise NotImplementedError

    def make_fs(self) -> Any:
        self.directory = tempfile.TemporaryDirectory(prefix="rootlay-test-")
        return LayerFS(self.make_stack(StackBuilder(Path(self.directory.name))), owned=True)

    def destroy_fs(self, fs: Any) -> None:
        fs.close()
        self.directory.cleanup()


class TestLayerFSOverAnEmptyStack(LayerFSCases, unittest.TestCase):
    def make_stack(self, builder: StackBuilder) -> Overlay:
        return builder.overlay()


class TestLayerFSOverRemovedLowers(LayerFSCases, unittest.TestCase):
    def make_stack(self, builder: StackBuilder) -> Overlay:
        layer = [
            directory(b""),
            directory(b"bar"),
            directory(b"bar/foo"),
            file(b"bar/foo/baz", b"lower"),
            file(b"bar/foo.txt", b"lower"),
            file(b"dir", b"lower"),
            directory(b"egg"),
            file(b"top.txt", b"lower"),
            symlink(b"spam", b"bar"),
        ]

        def fill(path: Path) -> None:
            (path / "foo2" / "foo").mkdir(parents=True)
            (path / "foo2" / "foo" / "foo.txt").write_text("lower")
            (path / "egg").write_text("lower")
            (path / "test.txt").write_text("lower")

        overlay = builder.overlay(builder.lower("lower", fill), layers=(layer,))
        LayerFS(overlay).removetree("/")
        return overlay


class ContainerCases(FSTestCases):
    """The suite over a container that `make_container` leaves empty."""

    def make_container(self, base: Path, store: Store) -> Container:
        raise NotImplementedError

    def make_fs(self) -> Any:
        self.directory = tempfile.TemporaryDirectory(prefix="rootlay-test-")
        base = Path(self.directory.name)
        self.container = self.make_container(base, Store.open(base / "store"))
        return self.container.fs

    def destroy_fs(self, fs: Any) -> None:
        fs.close()
        self.container.close()
        self.directory.cleanup()


def make_tree(path: Path) -> None:
    for name in ("bar/foo", "egg", "foo2/foo"):
        (path / name).mkdir(parents=True)
    for name in ("bar/foo/baz", "bar/foo.txt", "dir", "top.txt", "foo2/foo/foo.txt"):
        (path / name).write_text("lower")


class TestOverAnEmptyImage(ContainerCases, unittest.TestCase):
    def make_container(self, base: Path, store: Store) -> Container:
        (base / "empty.tar").write_bytes(docker_archive([([], ["empty"])]))
        return store.load(base / "empty.tar").container(hostname="box")


FIVE_LAYERS = [
    [("bar", "d", None), ("bar/foo", "d", None), ("bar/foo/baz", "f", "0"), ("bar/old", "f", "0"), ("dir", "f", "0")],
    [(".wh.dir", "f", ""), ("top.txt", "f", "1"), ("foo2", "d", None), ("foo2/foo", "d", None)],
    [("bar", "d", None), ("bar/.wh..wh..opq", "f", ""), ("bar/foo.txt", "f", "2"), ("egg", "l", "bar")],
    [
        ("dir", "d", None),
        ("dir/x", "f", "3"),
        (".wh.egg", "f", ""),
        ("foo2/foo/foo.txt", "f", "3"),
        (".wh.top.txt", "f", ""),
    ],
    [
        ("egg", "d", None),
        ("egg/.wh..wh..opq", "f", ""),
        ("foo2", "d", None),
        ("foo2/.wh.foo", "f", ""),
        ("test", "f", "4"),
    ],
]


class TestOverFiveLayers(ContainerCases, unittest.TestCase):
    """An image of five layers with whiteouts and opaque directories, files and links in each other's places."""

    def make_container(self, base: Path, store: Store) -> Container:
        (base / "five.tar").write_bytes(docker_archive([([make_tar(layer) for layer in FIVE_LAYERS], ["five"])]))
        image = store.load(base / "five.tar")
        assert len(image.layers) == 5
        assert all(isinstance(layer, Digest) for layer in image.layers)
        container = image.container(hostname="box")
        assert sorted(container.fs.walk.files("/")) == ["/bar/foo.txt", "/dir/x", "/test"]
        assert sorted(container.fs.walk.dirs("/")) == ["/bar", "/dir", "/egg", "/foo2"]
        container.fs.removetree("/")
        return container


class TestOverDirectoriesOfTheHost(ContainerCases, unittest.TestCase):
    """As `--lower`, and as `host` has it: plain directories, in which marks mean nothing."""

    def make_container(self, base: Path, store: Store) -> Container:
        for name in ("one", "two"):
            (base / name).mkdir()
            make_tree(base / name)
        (base / "two" / "dir").unlink()
        (base / "two" / "dir").mkdir()
        (base / "two" / "dir" / "test.txt").write_text("lower")
        container = store.overlay(base / "one", base / "two")
        container.fs.removetree("/")
        return container


class TestAfterSnapshotAndRollback(ContainerCases, unittest.TestCase):
    """The suite over an image whose files were removed, then frozen; with a second snapshot rolled back."""

    def make_container(self, base: Path, store: Store) -> Container:
        (base / "tree").mkdir()
        make_tree(base / "tree")
        container = store.import_rootfs(base / "tree", "base").container(hostname="box")
        container.fs.removetree("/")
        container.snapshot()
        container.fs.writetext("/top.txt", "lost")
        container.fs.makedirs("/foo/bar")
        container.rollback()
        return container

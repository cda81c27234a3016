"""`LayerFS` passes PyFilesystem2's own conformance suite, and keeps what the suite does not look at."""

import os
import tempfile
import unittest
from pathlib import Path
from typing import Any

import pytest

from rootlay.vfs import Store
from rootlay.vfs.layerfs import LayerFS
from rootlay.vfs.overlay import Overlay
from rootlay.vfs.stack import DirLayer
from tests.vfs.conftest import StackBuilder
from tests.vfs.memory_view import directory, file, symlink

if not hasattr(unittest.TestCase, "assertRaisesRegexp"):  # Python 3.12 removed what fs.test uses
    unittest.TestCase.assertRaisesRegexp = unittest.TestCase.assertRaisesRegex  # type: ignore[attr-defined]

from fs import errors
from fs.memoryfs import MemoryFS
from fs.move import move_file
from fs.test import FSTestCases


class LayerFSCases(FSTestCases):  # type: ignore[misc]
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
    """The suite wants an empty file system: everything below was removed, and names return over whiteouts.

    Not `foo`: the suite asks `hassyspath` of it (see test_hassyspath_is_false_where_a_rename_would_uncover).
    """

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


class TestLayerFSAfterSnapshotAndRollback(LayerFSCases, unittest.TestCase):
    """The suite over an image whose files were removed, then frozen; with a second snapshot rolled back."""

    def make_fs(self) -> Any:
        self.directory = tempfile.TemporaryDirectory(prefix="rootlay-test-")
        base = Path(self.directory.name)
        for name in ("bar/foo", "egg", "foo2/foo"):
            (base / "tree" / name).mkdir(parents=True)
        for name in ("bar/foo/baz", "bar/foo.txt", "dir", "top.txt", "foo2/foo/foo.txt"):
            (base / "tree" / name).write_text("lower")
        self.container = Store.open(base / "store").import_rootfs(base / "tree", "base").container(hostname="box")
        self.container.fs.removetree("/")
        self.container.snapshot()
        self.container.fs.writetext("/top.txt", "lost")
        self.container.fs.makedirs("/foo/bar")
        self.container.rollback()
        return self.container.fs

    def destroy_fs(self, fs: Any) -> None:
        fs.close()
        self.container.close()
        self.directory.cleanup()


@pytest.fixture
def image_fs(build: StackBuilder) -> LayerFS:
    layer = [
        directory(b""),
        directory(b"etc"),
        file(b"etc/motd", b"hello\n", 0o600, uid=5, mtime_ns=10**18),
        directory(b"etc/d"),
        file(b"etc/d/x", b"x"),
        symlink(b"link", b"etc"),
        symlink(b"dangling", b"nowhere"),
        file(b"caf\xe9", b"latin"),
    ]
    return LayerFS(build.overlay(layers=(layer,)))


def test_reading_does_not_hydrate(image_fs: LayerFS) -> None:
    assert image_fs.readbytes("/etc/motd") == b"hello\n"
    assert image_fs.overlay.stack.hydrator.hydrated == []
    assert Path(image_fs.getsyspath("/etc/motd")).read_bytes() == b"hello\n"
    assert len(image_fs.overlay.stack.hydrator.hydrated) == 1


def test_append_keeps_the_lower_content(image_fs: LayerFS) -> None:
    image_fs.appendbytes("/etc/motd", b"more\n")
    assert image_fs.readbytes("/etc/motd") == b"hello\nmore\n"


def test_move_file_to_another_file_system_leaves_the_image_alone(image_fs: LayerFS) -> None:
    hydrated = Path(image_fs.getsyspath("/etc/motd"))
    with MemoryFS() as other, tempfile.TemporaryDirectory() as directory_name:
        move_file(image_fs, "/etc/motd", other, "/motd")
        move_file(image_fs, "/etc/d/x", f"osfs://{directory_name}", "/x")
        assert other.readbytes("/motd") == b"hello\n"
        assert (Path(directory_name) / "x").read_bytes() == b"x"
    assert hydrated.exists()
    assert not image_fs.exists("/etc/motd")


def test_hassyspath_is_false_where_a_rename_would_uncover(image_fs: LayerFS) -> None:
    image_fs.writetext("/new", "x")
    image_fs.appendtext("/etc/motd", "x")
    assert image_fs.hassyspath("/new")
    assert not image_fs.hassyspath("/etc/motd")
    assert not image_fs.hassyspath("/etc/d/x")


def test_movedir_of_an_image_directory_copies_nothing(image_fs: LayerFS, build: StackBuilder) -> None:
    image_fs.movedir("/etc", "/conf", create=True)
    assert image_fs.listdir("/conf") == ["d", "motd"]
    assert not image_fs.exists("/etc")
    assert os.listdir(build.upper / "conf") == []


def test_removetree_does_not_follow_links(image_fs: LayerFS) -> None:
    image_fs.makedir("/t")
    image_fs.overlay.symlink("/etc", "/t/l")
    image_fs.removetree("/t")
    assert image_fs.exists("/etc/motd")
    assert not image_fs.exists("/t")


def test_scandir_shows_dangling_links_with_details(image_fs: LayerFS) -> None:
    found = {info.name: info for info in image_fs.scandir("/", ["details", "link", "lstat"])}
    assert found["dangling"].target == "nowhere"
    assert found["link"].is_dir
    assert image_fs.readbytes("caf\udce9") == b"latin"


def test_setinfo_sets_owner_permissions_and_times(image_fs: LayerFS) -> None:
    image_fs.setinfo(
        "/etc/motd", {"details": {"modified": 1000.5}, "access": {"uid": 33, "permissions": ["u_r", "setuid"]}}
    )
    info = image_fs.getinfo("/etc/motd", ["details", "access", "stat"])
    assert (info.uid, info.get("access", "gid")) == (33, 0)
    assert info.get("stat", "st_mode") == 0o104400
    assert info.raw["details"]["modified"] == 1000.5


def test_read_only_stack_refuses_changes(build: StackBuilder) -> None:
    def fill(path: Path) -> None:
        (path / "a").write_text("x")

    lower: DirLayer = build.lower("lower", fill)
    with LayerFS(Overlay(build.stack(lower, writable=False)), owned=True) as read_only:
        assert read_only.readtext("/a") == "x"
        assert read_only.getmeta()["read_only"]
        with pytest.raises(errors.OperationFailed):
            read_only.writetext("/a", "y")

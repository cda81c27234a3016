"""Bad use is told apart from bad luck: each a typed error or a documented behaviour, and nothing is lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rootlay.vfs import Container, Image, Store, UnknownContainer
from rootlay.vfs.pyfs.importfs import import_pyfs

import_pyfs()

from fs import errors  # noqa: E402


@pytest.fixture(scope="module")
def image(small_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    return Store.open(tmp_path_factory.mktemp("baduse") / "store").import_rootfs(small_tree, "small")


def in_child(action: Callable[[], None]) -> int:
    """The exit status of a forked process that does something; 1 for an exception."""
    child = os.fork()
    if not child:
        status = 1
        try:
            action()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_read_only_view_says_so_and_stays_as_it_is(image: Image) -> None:
    with image.open_fs() as view:
        changes: list[Callable[[], object]] = [
            lambda: view.writetext("/etc/motd", "x"),
            lambda: view.remove("/etc/motd"),
        ]
        for change in changes:
            with pytest.raises(errors.ResourceReadOnly):
                change()
        assert view.readtext("/etc/motd") == "welcome\n"
    with image.open_overlay() as overlay, pytest.raises(OSError, match="Read-only file system"):
        overlay.mkdir("/x")


def test_names_with_nul_are_refused_everywhere(image: Image) -> None:
    with image.container() as c:
        with pytest.raises(errors.InvalidCharsInPath):
            c.fs.writetext("/a\0b", "x")
        for use in (c.overlay.stat, c.overlay.mkdir, c.overlay.unlink, c.overlay.listdir, c.overlay.open):
            with pytest.raises(ValueError, match="null"):
                use("/a\0b")
        with pytest.raises(ValueError, match="null"):
            c.run(["true\0"])
        for ask in (c.fsspec.info, c.fsspec.cat_file, c.fsspec.mkdir, c.fsspec.rm_file):
            with pytest.raises(ValueError, match="null"):
                ask("/a\0b")
        with pytest.raises(ValueError, match="null"), c.activate(cwd="/a\0b"):
            pass
        with c.activate():
            for ask in (os.stat, os.mkdir, os.listdir, open):
                with pytest.raises(ValueError, match="null"):
                    ask("/a\0b")
        assert c.diff() == []


def test_a_closed_file_system_is_told_from_a_missing_file(image: Image) -> None:
    c = image.container()
    fs = c.fs
    fs.writetext("/a", "x")
    c.close()
    for use in (lambda: fs.readtext("/a"), lambda: fs.listdir("/"), lambda: fs.getinfo("/etc"), lambda: fs.touch("/b")):
        with pytest.raises(errors.FilesystemClosed):
            use()
    assert fs.isclosed()


def uses(c: Container) -> list[Callable[[], object]]:
    return [
        lambda: c.fs,
        lambda: c.run(["true"]),
        lambda: c.popen(["true"]),
        lambda: c.snapshot(),
        lambda: c.fork(),
        lambda: c.diff(),
        lambda: c.commit("x"),
        lambda: c.activate(),
    ]


def test_a_removed_container_is_unknown(image: Image) -> None:
    store = Store.open(image.root)
    c = image.container("gone")
    other = store.container("gone")
    fs = other.fs
    assert fs.readtext("/etc/motd") == "welcome\n"
    c.remove()
    for use in uses(c):
        with pytest.raises(UnknownContainer):
            use()
    with pytest.raises(errors.ResourceNotFound):  # the object was open: as in a directory that was removed
        fs.writetext("/etc/motd", "x")
    other.close()
    for use in uses(other):
        with pytest.raises(UnknownContainer):
            use()
    assert not [path for path in (store.root / "containers").iterdir() if path.name == c.id]


def test_a_forked_process_may_use_the_container_and_cannot_end_it(image: Image) -> None:
    with image.container() as c:
        fs = c.fs
        fs.writetext("/parent", "x")
        c.run(["true"], check=True)

        def use() -> None:
            with c:
                assert fs.readtext("/etc/motd") == "welcome\n"
                assert fs.readtext("/parent") == "x"
                fs.writetext("/child", "y")
                fs.appendtext("/etc/motd", "child\n")
                c.run(["sh", "-c", "echo program > /program"], check=True)

        assert in_child(use) == 0
        assert fs.readtext("/child") == "y"
        assert fs.readtext("/etc/motd") == "welcome\nchild\n"
        assert fs.readtext("/program") == "program\n"
        assert c.run(["cat", "/child"], capture_output=True, check=True).stdout == b"y"
        with Store.open(image.root).container(c.id) as same:
            assert same.fs.exists("/child")
    with pytest.raises(UnknownContainer):
        Store.open(image.root).container(c.id)

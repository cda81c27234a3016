"""Removing and walking trees that no path reaches, whatever their modes."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rootlay.store.disk.removetree import LEVELS_MAX, remove_some, remove_tree
from rootlay.store.disk.walktree import iter_tree

DEEP = 1100  # more than Python's recursion limit; 11 KB of path


def make_deep(top: Path, name: str = "directory", levels: int = DEEP, files: bool = True) -> None:
    """`top` with so many directories inside each other, each with a file beside the next."""
    top.mkdir()
    fd = os.open(top, os.O_RDONLY)
    for level in range(levels):
        if files:
            os.close(os.open(f"f{level}", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=fd))
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)


def test_a_tree_deeper_than_paths_and_recursion_goes(tmp_path: Path) -> None:
    make_deep(tmp_path / "top")
    before = len(os.listdir("/proc/self/fd"))
    remove_tree(tmp_path / "top")
    assert not (tmp_path / "top").exists()
    assert len(os.listdir("/proc/self/fd")) == before


def test_names_that_look_like_those_of_hoisted_directories_are_no_trouble(tmp_path: Path) -> None:
    make_deep(tmp_path / "top", ".hoisted-1", LEVELS_MAX * 3)
    for number in range(1, 4):
        make_deep(tmp_path / "top" / f".hoisted-{number + 1}", "x", LEVELS_MAX + 5)
    (tmp_path / "top" / ".hoisted-9").write_text("a file")
    remove_tree(tmp_path / "top")
    assert not (tmp_path / "top").exists()


def test_directories_without_any_right_go(tmp_path: Path) -> None:
    make_deep(tmp_path / "top", "d", LEVELS_MAX + 10, files=False)
    (tmp_path / "top" / "d" / "d" / "closed").mkdir()
    (tmp_path / "top" / "d" / "d" / "closed" / "file").write_text("x")
    (tmp_path / "top" / "d" / "d" / "closed").chmod(0)
    fd = os.open(tmp_path / "top", os.O_RDONLY)
    while (below := next((n for n in os.listdir(fd) if n == "d"), None)) is not None:
        up, fd = fd, os.open(below, os.O_RDONLY, dir_fd=fd)
        os.fchmod(up, 0o500)
        os.close(up)
    os.fchmod(fd, 0)
    os.close(fd)
    (tmp_path / "top").chmod(0)
    remove_tree(tmp_path / "top")
    assert not (tmp_path / "top").exists()


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("stays")
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "top" / "dangling").symlink_to("nowhere")
    (tmp_path / "link").symlink_to("outside")
    remove_tree(tmp_path / "top")
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        remove_tree(tmp_path / "link")
    assert (tmp_path / "outside" / "file").read_text() == "stays"
    assert (tmp_path / "link").is_symlink()


def test_a_directory_of_more_names_than_are_read_at_once_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rootlay.store.disk.removetree._BATCH", 7)
    for number in range(100):
        (tmp_path / "top" / f"d{number}" / "d").mkdir(parents=True)
        (tmp_path / "top" / f"f{number}").touch()
    assert not remove_some(tmp_path / "top", 199)
    assert (tmp_path / "top").exists()
    remove_tree(tmp_path / "top")
    assert not (tmp_path / "top").exists()


def test_what_is_not_there_is_no_error_and_a_file_is(tmp_path: Path) -> None:
    assert remove_tree(tmp_path / "nothing") == 0
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotADirectoryError):
        remove_tree(tmp_path / "file")
    remove_tree(tmp_path / "file", ignore_errors=True)
    assert (tmp_path / "file").exists()


def test_what_cannot_be_removed_is_said_and_the_rest_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / "top" / name).mkdir(parents=True)
        (tmp_path / "top" / name / "file").write_text("x")
    unlink = os.unlink

    def failing(name: str, *, dir_fd: int) -> None:
        if os.readlink(f"/proc/self/fd/{dir_fd}").endswith("/b"):
            raise OSError(5, "Input/output error", name)
        unlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", failing)
    with pytest.raises(OSError, match="Input/output error"):
        remove_tree(tmp_path / "top")
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("file")] == ["top/b/file"]


def test_what_nfs_keeps_of_an_open_file_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / "top" / name).mkdir(parents=True)
        (tmp_path / "top" / name / "file").write_text("x")
    unlink, busy = os.unlink, errno.EBUSY

    def as_nfs(name: str, *, dir_fd: int) -> None:
        if name.startswith(".nfs"):
            raise OSError(busy, os.strerror(busy), name)
        if os.readlink(f"/proc/self/fd/{dir_fd}").endswith("/b"):
            os.rename(name, ".nfs0001", src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        else:
            unlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", as_nfs)
    remove_tree(tmp_path / "top")
    assert [p.relative_to(tmp_path).as_posix() for p in (tmp_path / "top").rglob("*")] == ["top/b", "top/b/.nfs0001"]
    (tmp_path / "top/b/.nfs0001").rename(tmp_path / "top/b/another")
    busy = errno.EIO
    with pytest.raises(OSError, match="Input/output error"):
        remove_tree(tmp_path / "top")


def test_the_bytes_are_those_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "top" / "d").mkdir(parents=True)
    (tmp_path / "top" / "d" / "file").write_bytes(os.urandom(100_000))
    taken = (tmp_path / "top" / "d" / "file").stat().st_blocks * 512
    assert remove_tree(tmp_path / "top") == taken


def test_a_walk_sees_everything_once_at_any_depth(tmp_path: Path) -> None:
    make_deep(tmp_path / "top", levels=DEEP)
    (tmp_path / "top" / "link").symlink_to(".")
    found = [(entry.name, entry.is_dir(follow_symlinks=False)) for _, entry in iter_tree(tmp_path / "top")]
    assert sum(is_dir for _, is_dir in found) == DEEP
    assert {name for name, is_dir in found if not is_dir} == {f"f{level}" for level in range(DEEP)} | {"link"}
    assert len(found) == 2 * DEEP + 1
    remove_tree(tmp_path / "top")


def test_a_walk_agrees_with_os_walk_and_gives_usable_descriptors(tmp_path: Path) -> None:
    for path in ("a/b/c", "a/d", "e", "a/b/x"):
        (tmp_path / "top" / path).mkdir(parents=True, exist_ok=True)
        (tmp_path / "top" / path / "file").write_text(path)
    found = set()
    for fd, entry in iter_tree(tmp_path / "top"):
        where = os.path.join(os.readlink(f"/proc/self/fd/{fd}"), entry.name)
        found.add(where)
        assert os.stat(entry.name, dir_fd=fd, follow_symlinks=False).st_ino == entry.inode()
    expected = {os.path.join(top, n) for top, ds, fs in os.walk(tmp_path / "top") for n in (*ds, *fs)}
    assert found == expected


def test_a_walk_of_nothing_is_empty(tmp_path: Path) -> None:
    assert list(iter_tree(tmp_path / "nothing")) == []
    (tmp_path / "closed").mkdir(mode=0)
    assert list(iter_tree(tmp_path / "closed")) == []
    (tmp_path / "closed").chmod(0o700)


def test_several_removers_of_one_tree_do_not_disturb_each_other(tmp_path: Path) -> None:
    for number in range(5):
        make_deep(tmp_path / str(number), "d", LEVELS_MAX * 4)
        with ThreadPoolExecutor(4) as pool:
            for future in [pool.submit(remove_tree, tmp_path / str(number)) for _ in range(4)]:
                future.result()
        assert not (tmp_path / str(number)).exists()


@pytest.mark.parametrize(("most", "gone"), [(0, False), (9, False), (10, True), (1000, True)])
def test_no_more_than_so_many_names(tmp_path: Path, most: int, gone: bool) -> None:
    for number in range(8):  # ten names: `d`, `d/e` and these
        path = tmp_path / "tree" / ("d/e" if number > 3 else "d")
        path.mkdir(parents=True, exist_ok=True)
        (path / str(number)).touch()
    assert remove_some(tmp_path / "tree", most) is gone
    assert (tmp_path / "tree").exists() is not gone
    left = sum(len(directories) + len(files) for _, directories, files in os.walk(tmp_path / "tree"))
    assert left >= 10 - most
    remove_tree(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
    assert remove_some(tmp_path / "nothing", 1)

"""What a process remembers of the upper's directories, and what makes it forget (docs/format.md section 7)."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable

import pytest

from tests.support.boxes.box import Box, d, f, fails, forked

NODES = {b"/low": d(), b"/low/sub": d(), b"/low/sub/f": f(b"lower\n")}


@pytest.fixture
def box(make: Callable[..., Box]) -> Box:
    box = make(NODES)
    box.core.mkdir(b"/a", 0o755)
    box.core.mkdir(b"/a/b", 0o755)
    box.core.write(b"/a/b/f", b"1")
    return box


def elsewhere(action: Callable[[], object]) -> None:
    """Do it in another process, which shares nothing with this one but the files."""
    assert os.waitstatus_to_exitcode(os.waitpid(forked(action), 0)[1]) == 0


def test_a_directory_that_was_seen_is_not_asked_for_again(box: Box) -> None:
    box.core.chmod(b"/a/b", 0o700)
    box.core.identity(1000, 1000)
    with fails(errno.EACCES):
        box.core.stat(b"/a/b/f")
    (box.upper / "a/b").chmod(0o755)  # behind everybody's back: this is how we know that nobody looks
    with fails(errno.EACCES):
        box.core.stat(b"/a/b/f")
    elsewhere(lambda: (box.core.identity(0, 0), box.core.chmod(b"/a", 0o711)))
    assert box.core.stat(b"/a/b/f").size == 1


@pytest.mark.parametrize("path", [b"/a/b/f", b"/a/b/../b/f"])
def test_changes_of_other_processes_are_seen(box: Box, path: bytes) -> None:
    core = box.core
    assert core.stat(path).size == 1
    elsewhere(lambda: core.rename(b"/a/b", b"/a/c"))
    with fails(errno.ENOENT):
        core.stat(path)
    assert core.stat(b"/a/c/f").size == 1
    elsewhere(lambda: core.rename(b"/a/c", b"/a/b"))
    assert core.stat(path).size == 1
    elsewhere(lambda: (core.unlink(b"/a/b/f"), core.rmdir(b"/a/b"), core.write(b"/a/b", b"file")))
    with fails(errno.ENOTDIR):
        core.stat(path)
    elsewhere(lambda: (core.unlink(b"/a/b"), core.mkdir(b"/a/b", 0o755), core.write(b"/a/b/f", b"22")))
    assert core.stat(path).size == 2


def test_a_relative_path_follows_its_directory_when_others_rename_it(box: Box) -> None:
    core = box.core
    fd = core.open(b"/a/b", os.O_RDONLY | os.O_DIRECTORY)
    assert core.stat(b"f", dirfd=fd).size == 1
    elsewhere(lambda: core.rename(b"/a", b"/z"))
    assert core.stat(b"f", dirfd=fd).size == 1
    elsewhere(lambda: (core.mkdir(b"/a", 0o755), core.mkdir(b"/a/b", 0o755)))
    assert core.stat(b"f", dirfd=fd).size == 1
    elsewhere(lambda: (core.unlink(b"/z/b/f"), core.rmdir(b"/z/b")))
    with fails(errno.ENOENT):
        core.stat(b"f", dirfd=fd)
    os.close(fd)


def test_a_directory_that_comes_up_shows_what_is_below_and_what_is_new(box: Box) -> None:
    core = box.core
    assert core.stat(b"/low/sub/f").size == 6
    elsewhere(lambda: core.write(b"/low/sub/g", b"new"))
    assert core.stat(b"/low/sub/g").size == 3
    assert core.stat(b"/low/sub/f").size == 6
    elsewhere(lambda: (core.unlink(b"/low/sub/f"), core.unlink(b"/low/sub/g"), core.rmdir(b"/low/sub")))
    with fails(errno.ENOENT):
        core.stat(b"/low/sub/f")
    elsewhere(lambda: core.mkdir(b"/low/sub", 0o755))
    with fails(errno.ENOENT):  # opaque now
        core.stat(b"/low/sub/f")


def test_nothing_is_remembered_after_a_change_that_was_never_finished(box: Box) -> None:
    core = box.core
    raw = bytearray(box.bloom.path.read_bytes()[:64])
    (begun,) = struct.unpack_from("<I", raw, 16)
    with box.bloom.path.open("r+b") as file:
        file.seek(16)
        file.write(struct.pack("<I", begun + 1))
    assert core.stat(b"/a/b/f").size == 1
    core.identity(1000, 1000)
    (box.upper / "a/b").chmod(0o700)
    with fails(errno.EACCES):
        core.stat(b"/a/b/f")
    (box.upper / "a/b").chmod(0o755)
    assert core.stat(b"/a/b/f").size == 1


def deep(box: Box, levels: int) -> tuple[bytes, int]:
    """A directory of the upper, `levels` below the root, with a file `g` of one byte; opened."""
    path = b""
    for _ in range(levels):
        path += b"/directory"
        box.core.mkdir(path, 0o755)
    box.core.write(path + b"/g", b"1")
    return path, box.core.open(path, os.O_RDONLY | os.O_DIRECTORY)


def create(box: Box, fd: int, name: bytes) -> None:
    os.close(box.core.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, dirfd=fd))


@pytest.mark.parametrize("levels", [2, 40, 90])
def test_no_relative_name_costs_a_walk_to_its_directory(box: Box, levels: int) -> None:
    _, fd = deep(box, levels)
    create(box, fd, b"new")
    assert box.core.stat(b"g", dirfd=fd).size == 1
    (box.upper / "directory").rename(box.upper / "elsewhere")  # behind everybody's back
    assert box.core.stat(b"g", dirfd=fd).size == 1
    with fails(errno.ENOENT):
        box.core.stat(b"none", dirfd=fd)
    os.close(fd)


@pytest.mark.parametrize("levels", [2, 40, 90])
def test_names_in_a_deep_directory_follow_it(box: Box, levels: int) -> None:
    core = box.core
    path, fd = deep(box, levels)
    create(box, fd, b"new")
    assert core.stat(b"../directory/new", dirfd=fd).size == 0
    elsewhere(lambda: core.rename(b"/directory", b"/z"))
    moved = b"/z" + path[len(b"/directory") :]
    create(box, fd, b"newer")
    assert core.stat(b"../directory/g", dirfd=fd).size == 1
    assert core.listdir(moved) == [b"g", b"new", b"newer"]
    elsewhere(lambda: (core.mkdir(b"/directory", 0o755), core.write(b"/directory/g", b"22")))
    assert core.stat(b"g", dirfd=fd).size == 1
    elsewhere(lambda: core.chmod(moved, 0o700))
    core.identity(1000, 1000)
    with fails(errno.EACCES):
        core.stat(b"g", dirfd=fd)
    core.identity(0, 0)
    elsewhere(lambda: [core.unlink(moved + b"/" + name) for name in (b"g", b"new", b"newer")] + [core.rmdir(moved)])
    with fails(errno.ENOENT):
        core.stat(b"g", dirfd=fd)
    with fails(errno.ENOENT):
        create(box, fd, b"x")
    os.close(fd)


def test_an_open_directory_of_the_upper_shows_what_others_change(box: Box) -> None:
    core = box.core
    fd = core.open(b"/a/b", os.O_RDONLY | os.O_DIRECTORY)
    assert (core.stat(b"/a/b").mode & 0o7777, core.fstat(fd).mode & 0o7777) == (0o755, 0o755)
    elsewhere(lambda: core.chmod(b"/a/b", 0o1777))
    assert (core.stat(b"/a/b").mode & 0o7777, core.fstat(fd).mode & 0o7777) == (0o1777, 0o1777)
    elsewhere(lambda: core.chown(b"/a/b", 5, 6))
    assert (core.stat(b"/a/b").uid, core.fstat(fd).gid) == (5, 6)
    elsewhere(lambda: core.rename(b"/a/b", b"/a/c"))
    assert core.fstat(fd).uid == 5
    with fails(errno.ENOENT):
        core.stat(b"/a/b")
    elsewhere(lambda: (core.unlink(b"/a/c/f"), core.rmdir(b"/a/c"), core.mkdir(b"/a/c", 0o700)))
    assert (core.fstat(fd).nlink, core.stat(b"/a/c").uid) == (0, 0)
    os.close(fd)

"""open() of a lower file for writing: the descriptor is the copy's own, as if the file had been there."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.boxes.box import Box, f

BIG = bytes(range(256)) * 1024
NODES = {b"/small": f(b"lower\n", mtime_ns=10**18), b"/big": f(BIG), b"/empty": f(b"")}
FLAGS = [
    os.O_WRONLY,
    os.O_RDWR,
    os.O_WRONLY | os.O_APPEND,
    os.O_RDWR | os.O_APPEND | os.O_CLOEXEC,
    os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC,
    os.O_RDWR | os.O_CREAT,
    os.O_WRONLY | os.O_TRUNC,
    os.O_RDWR | os.O_SYNC,
    os.O_RDONLY | os.O_TRUNC,
]


@pytest.fixture
def box(make: Callable[..., Box]) -> Box:
    return make(NODES)


@pytest.mark.parametrize("name", ["small", "big", "empty"])
@pytest.mark.parametrize("flags", FLAGS)
def test_the_descriptor_is_what_open_gives_for_a_plain_file(box: Box, tmp_path: Path, name: str, flags: int) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(NODES[b"/" + name.encode()].data)
    expected = os.open(plain, flags)
    fd = box.core.open(b"/" + name.encode(), flags)
    try:
        wanted = fcntl.fcntl(expected, fcntl.F_GETFL)
        got = fcntl.fcntl(fd, fcntl.F_GETFL)
        if flags & os.O_ACCMODE == os.O_RDONLY:  # opened for writing, so that Landlock can tell what truncates
            got = got & ~os.O_ACCMODE
        assert got == wanted
        assert fcntl.fcntl(fd, fcntl.F_GETFD) or not flags & os.O_CLOEXEC
        assert os.lseek(fd, 0, os.SEEK_CUR) == 0
        assert os.readlink(f"/proc/self/fd/{fd}") == str(box.upper / name)
        assert os.fstat(fd).st_ino == (box.upper / name).stat().st_ino
        if flags & os.O_ACCMODE != os.O_RDONLY:
            for one in (fd, expected):
                os.write(one, b"new")
                os.write(one, b"er")
        assert box.core.read(b"/" + name.encode()) == plain.read_bytes()
    finally:
        os.close(fd)
        os.close(expected)


def test_the_copy_has_the_lower_file_s_time_until_something_is_written(box: Box) -> None:
    fd = box.core.open(b"/small", os.O_WRONLY | os.O_APPEND)
    assert fcntl.fcntl(fd, fcntl.F_GETFD) == 0  # and it was not the test's own os.open(), which sets FD_CLOEXEC
    assert os.fstat(fd).st_mtime_ns == 10**18
    os.write(fd, b"x")
    assert os.fstat(fd).st_mtime_ns > 10**18
    os.close(fd)


def test_at_the_limit_of_descriptors_it_fails_as_a_plain_open(box: Box) -> None:
    import resource

    box.core.read(b"/small")  # hydrated
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open("/dev/null", os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            box.core.open(b"/small", os.O_WRONLY)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not [name for name in os.listdir(box.upper) if name.startswith(".wh..wh.t.")]


def test_a_reader_that_was_first_is_told_of_what_it_reads(box: Box) -> None:
    fd = box.core.open(b"/small", os.O_RDONLY)
    try:
        before = box.core.fstat(fd)
        box.core.write(b"/small", b"more than before", os.O_WRONLY | os.O_APPEND)
        box.core.chmod(b"/small", 0o640)
        shown, named = box.core.fstat(fd), box.core.stat(b"/small")
        assert shown.size == before.size == len(os.read(fd, 100))
        assert named.size == len(box.core.read(b"/small")) == before.size + 16
        assert (shown.ino, shown.mode, shown.mtime_ns) == (named.ino, named.mode, named.mtime_ns)
    finally:
        os.close(fd)

"""open() of a lower file for writing: the descriptor is the copy's own, as if the file had been there."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rootlay.store.view.native import list_position
from tests.support.boxes.box import Box, d, f

BIG = bytes(range(256)) * 1024
NODES = {b"/small": f(b"lower\n", mtime_ns=10**18), b"/big": f(BIG), b"/other": f(b"other\n"), b"/empty": f(b"")}
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


def test_a_small_file_is_not_hydrated_for_its_copy(box: Box) -> None:
    assert box.hydrator is not None
    box.hydrator.sends = [b"/empty", b"/small", b"/other"]
    box.core.write(b"/small", b"x", os.O_WRONLY | os.O_APPEND)
    box.hydrator.sends = [b"/small"]
    box.core.chmod(b"/other", 0o600)
    box.core.write(b"/empty", b"x", os.O_WRONLY | os.O_APPEND)
    assert box.core.read(b"/small") == b"lower\nx"
    assert box.core.read(b"/other") == b"other\n"
    assert box.core.read(b"/empty") == b"x"
    assert box.asked() == []
    assert (box.upper / "other").stat().st_mtime_ns == NODES[b"/other"].mtime_ns


@pytest.mark.parametrize("sends", [[b"/other"], [b"/big"], []])
@pytest.mark.parametrize("cuts", [0, 1, 8])
def test_what_is_not_sent_is_hydrated(box: Box, sends: list[bytes], cuts: int) -> None:
    assert box.hydrator is not None
    box.hydrator.sends, box.hydrator.cuts = sends, cuts
    box.core.write(b"/small", b"x", os.O_WRONLY | os.O_APPEND)
    assert box.core.read(b"/small") == b"lower\nx"
    assert box.asked() == [b"/small"]


def test_an_answer_that_is_cut_in_the_file_is_not_used(box: Box) -> None:
    assert box.hydrator is not None
    box.hydrator.sends, box.hydrator.cuts = [b"/small"], 2
    box.core.write(b"/small", b"x", os.O_WRONLY | os.O_APPEND)
    assert box.core.read(b"/small") == b"lower\nx"


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


def test_the_hydrator_knows_the_order_of_listings(make: Callable[..., Box]) -> None:
    names = [b"%d.%s" % (number, bytes((200 + number % 50,))) for number in range(200)]
    box = make({b"/d": d(), **{b"/d/" + name: f(b"") for name in names}})
    listed = [entry.name for entry in box.core.entries(b"/d") if entry.name not in (b".", b"..")]
    assert listed == sorted(names, key=list_position)

"""Names that are looked up from an open directory of the view on, without the walk from the root to it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.boxes.box import Box, d, f, fails, forked, ln
from tests.support.boxes.corelib import Entry
from tests.support.boxes.launchfile import Bind

NODES = {
    b"/low": d(),
    b"/low/sub": d(),
    b"/low/sub/f": f(b"lower\n"),
    b"/low/sub/out": ln(b"/low/g"),
    b"/low/sub/up": ln(b"../g"),
    b"/low/g": f(b"g"),
    b"/low/empty": d(),
}


@pytest.fixture
def box(make: Callable[..., Box]) -> Box:
    return make(NODES)


@pytest.fixture
def sub(box: Box) -> Iterator[int]:
    yield from opened(box, b"/low/sub")


def opened(box: Box, path: bytes) -> Iterator[int]:
    fd = box.core.open(path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def elsewhere(action: Callable[[], object]) -> None:
    assert os.waitstatus_to_exitcode(os.waitpid(forked(action), 0)[1]) == 0


def names(box: Box, fd: int) -> list[bytes]:
    os.lseek(fd, 0, os.SEEK_SET)
    return sorted(e.name for e in box.core.getdents(fd))


@pytest.mark.parametrize("path", [b"f", b"./f", b"../sub/f", b"../../low/sub/f", b"../../../../low/./sub/../sub/f"])
def test_names_and_ways_out(box: Box, sub: int, path: bytes) -> None:
    for _ in range(2):
        assert box.core.stat(path, dirfd=sub).size == 6
    with fails(errno.ENOENT):
        box.core.stat(path + b"f", dirfd=sub)


@pytest.mark.parametrize("path", [b"out", b"up", b"../g"])
def test_links_out_of_it(box: Box, sub: int, path: bytes) -> None:
    assert box.core.stat(b"f", dirfd=sub).size == 6
    assert box.core.stat(path, dirfd=sub).size == 1


def test_what_a_directory_below_is_opened_from(box: Box) -> None:
    for low in opened(box, b"/low"):
        fd = box.core.open(b"sub", os.O_RDONLY | os.O_DIRECTORY, dirfd=low)
        assert box.core.stat(b"f", dirfd=fd).size == 6
        assert names(box, fd) == [b".", b"..", b"f", b"out", b"up"]
        os.close(fd)


def test_who_has_it_open_need_not_search_what_is_above(make: Callable[..., Box]) -> None:
    box = make(
        {b"/s": d(0o700), b"/s/open": d(), b"/s/open/f": f(b"1"), b"/s/closed": d(0o700), b"/s/closed/f": f(b"1")}
    )
    for fd in opened(box, b"/s/open"):
        for closed in opened(box, b"/s/closed"):
            box.core.identity(1000, 1000)
            for _ in range(2):
                assert box.core.stat(b"f", dirfd=fd).size == 1
                for path, base in ((b"../open/f", fd), (b"f", closed), (b"/s/open/f", fd)):
                    with fails(errno.EACCES):
                        box.core.stat(path, dirfd=base)


def test_what_comes_up_meanwhile(box: Box, sub: int) -> None:
    core = box.core
    assert core.stat(b"f", dirfd=sub).size == 6
    elsewhere(lambda: core.write(b"/low/sub/new", b"new"))
    assert core.stat(b"new", dirfd=sub).size == 3
    assert names(box, sub) == [b".", b"..", b"f", b"new", b"out", b"up"]
    elsewhere(lambda: core.write(b"/low/sub/f", b"changed\n"))
    assert core.stat(b"f", dirfd=sub).size == 8
    elsewhere(lambda: core.unlink(b"/low/sub/f"))
    with fails(errno.ENOENT):
        core.stat(b"f", dirfd=sub)
    assert names(box, sub) == [b".", b"..", b"new", b"out", b"up"]
    assert core.stat(b"up", dirfd=sub).size == 1
    elsewhere(lambda: core.unlink(b"/low/g"))
    with fails(errno.ENOENT):
        core.stat(b"up", dirfd=sub)


def test_what_is_removed_meanwhile(box: Box) -> None:
    core = box.core
    for fd in opened(box, b"/low/empty"):
        for _ in range(2):
            with fails(errno.ENOENT):
                core.stat(b"f", dirfd=fd)
        elsewhere(lambda: core.rmdir(b"/low/empty"))
        with fails(errno.ENOENT):
            core.open(b"f", os.O_WRONLY | os.O_CREAT, dirfd=fd)
        with fails(errno.ENOENT):
            core.stat(b"/low/empty")


def test_what_is_renamed_meanwhile(box: Box, sub: int) -> None:
    """The layer's directory keeps its real path, which is another's by now."""
    core = box.core
    assert core.stat(b"f", dirfd=sub).size == 6
    elsewhere(lambda: (core.rename(b"/low", b"/z"), core.mkdir(b"/low"), core.mkdir(b"/low/sub")))
    assert core.stat(b"f", dirfd=sub).size == 6
    assert core.stat(b"../g", dirfd=sub).size == 1
    assert core.stat(b"/z/sub/f").size == 6


def test_rights_that_change_meanwhile(box: Box, sub: int) -> None:
    core = box.core
    core.identity(1000, 1000)
    assert core.stat(b"f", dirfd=sub).size == 6
    elsewhere(lambda: (core.identity(0, 0), core.chmod(b"/low/sub", 0o700)))
    with fails(errno.EACCES):
        core.stat(b"f", dirfd=sub)
    elsewhere(lambda: (core.identity(0, 0), core.chmod(b"/low/sub", 0o755), core.chmod(b"/low", 0o700)))
    assert core.stat(b"f", dirfd=sub).size == 6


def test_binds_in_it_and_over_it(make: Callable[..., Box], tmp_path: Path) -> None:
    (tmp_path / "host").write_text("host's")
    box = make(NODES, binds=[Bind("/low/sub/f", str(tmp_path / "host")), Bind("/low/empty", str(tmp_path))])
    for low in opened(box, b"/low"):
        assert names(box, low) == [b".", b"..", b"empty", b"g", b"sub"]
        assert box.core.stat(b"sub/f", dirfd=low).size == 6
        assert box.core.stat(b"empty/host", dirfd=low).size == 6
        fd = box.core.open(b"sub", os.O_RDONLY | os.O_DIRECTORY, dirfd=low)
        assert {e.ino for e in box.core.getdents(fd) if e.name == b"f"} == {(tmp_path / "host").stat().st_ino}
        assert os.read(box.core.open(b"f", os.O_RDONLY, dirfd=fd), 9) == b"host's"
        os.close(fd)


def quickly(box: Box, fd: int, size: int = 1024) -> list[Entry] | None:
    """The listing, if it is answered without a walk and without anything held."""
    try:
        return box.core.getdents(fd, size, "rl_fast_list")
    except OverflowError:  # RL_MISS
        return None


def test_a_few_names_are_listed_at_once(box: Box, sub: int) -> None:
    expected = box.core.entries(b"/low/sub")
    assert [e.name for e in expected[:2]] == [b".", b".."]
    for _ in range(2):
        os.lseek(sub, 0, os.SEEK_SET)
        assert quickly(box, sub) == expected
        assert quickly(box, sub) == []
        assert box.core.getdents(sub) == []
    box.core.lib.rl_fast_list_again(sub)
    assert quickly(box, sub, 60) is None  # no room: nothing is lost
    assert box.core.getdents(sub) == expected
    os.lseek(sub, 0, os.SEEK_SET)
    assert box.core.getdents(sub, 24)[0].name == b"."
    assert quickly(box, sub) is None  # in the middle
    assert box.core.getdents(sub) == expected[1:]
    os.lseek(sub, 0, os.SEEK_SET)
    elsewhere(lambda: box.core.write(b"/low/sub/new", b""))
    assert quickly(box, sub) is None
    assert len(box.core.getdents(sub)) == len(expected) + 1


@pytest.mark.parametrize("count", [0, 1, 23, 24, 25, 500])
def test_the_view_s_listing_is_the_merged_one(make: Callable[..., Box], count: int) -> None:
    """Whether a directory is listed on the stack, from the view, or merged, its order is the same."""
    nodes = {b"/d": d(), **{b"/d/%d" % n: (d() if n % 3 else f()) for n in range(count)}}
    box = make(nodes)
    for fd in opened(box, b"/d"):
        with fails(errno.ENOENT):
            box.core.stat(b"none", dirfd=fd)
        few = quickly(box, fd)
        assert (few is None) == (count > 24)
        os.lseek(fd, 0, os.SEEK_SET)
        view = box.core.getdents(fd)
        assert few in (None, view)
        box.core.write(b"/d/new", b"")
        os.lseek(fd, 0, os.SEEK_SET)
        assert [e for e in box.core.getdents(fd) if e.name != b"new"] == view

"""Records of the upper's files are remembered as long as nobody may have changed one, and no longer."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from box import Box, f, forked

NODES = {b"/low": f(b"lower", uid=7, gid=8, mode=0o640)}
SEEN = tuple[int, int, int, int, int]


@pytest.fixture
def box(make: Callable[..., Box]) -> Box:
    box = make(NODES)
    box.core.write(b"/plain", b"1")
    box.core.write(b"/owned", b"2")
    box.core.chown(b"/owned", 5, 6)
    box.core.chmod(b"/low", 0o4750)  # comes up, with its inode number in the record
    return box


def elsewhere(action: Callable[[], object]) -> None:
    """Do it in another process, which shares nothing with this one but the files."""
    assert os.waitstatus_to_exitcode(os.waitpid(forked(action), 0)[1]) == 0


def seen(box: Box, path: bytes, fd: int) -> SEEN:
    """What path and descriptor show, twice: the second time it is remembered. All must be the same."""
    shown = [one for _ in range(2) for one in (box.core.stat(path), box.core.fstat(fd), box.core.lstat(path))]
    found = {(one.ino, one.mode, one.uid, one.gid, one.nlink) for one in shown}
    assert len(found) == 1
    return found.pop()


@pytest.mark.parametrize("path", [b"/plain", b"/owned", b"/low"])
def test_what_others_change_is_seen(box: Box, path: bytes) -> None:
    core = box.core
    fd = core.open(path, os.O_RDONLY)
    ino, mode, uid, gid, _ = seen(box, path, fd)
    elsewhere(lambda: core.chown(path, 33, 44))
    assert seen(box, path, fd) == (ino, mode & ~0o6000, 33, 44, 1)
    elsewhere(lambda: core.chmod(path, 0o600))
    assert seen(box, path, fd) == (ino, mode & ~0o7777 | 0o600, 33, 44, 1)
    elsewhere(lambda: core.chown(path, uid, gid))
    assert seen(box, path, fd)[2:4] == (uid, gid)
    elsewhere(lambda: core.rename(path, b"/moved"))
    assert seen(box, b"/moved", fd)[2:4] == (uid, gid)
    elsewhere(lambda: core.write(path, b"another"))
    assert core.fstat(fd).size != 7
    assert (core.stat(path).size, core.stat(path).uid) == (7, 0)
    elsewhere(lambda: core.unlink(b"/moved"))
    assert core.fstat(fd).nlink == 0
    os.close(fd)


def test_a_new_file_does_not_inherit_what_its_inode_number_showed(box: Box) -> None:
    core = box.core
    for number in range(50):
        path = b"/f%d" % number
        core.write(path, b"x")
        fd = core.open(path, os.O_RDONLY)
        assert seen(box, path, fd)[2:4] == (0, 0)
        core.chown(path, number + 1, 9)
        assert seen(box, path, fd)[2:4] == (number + 1, 9)
        os.close(fd)
        core.unlink(path)


def test_the_record_itself_is_not_read_again(box: Box) -> None:
    core = box.core
    fd = core.open(b"/owned", os.O_RDONLY)
    before = seen(box, b"/owned", fd)
    (box.upper / ".wh..wh.m.owned").unlink()  # behind everybody's back: this is how we know that nobody looks
    assert seen(box, b"/owned", fd) == before
    core.chown(b"/plain", 1, 1)  # somebody holds the lock
    assert seen(box, b"/owned", fd)[2:4] == (0, 0)
    os.close(fd)


def test_two_names_are_never_remembered_as_one(box: Box) -> None:
    core = box.core
    fd = core.open(b"/plain", os.O_RDONLY)
    seen(box, b"/plain", fd)
    elsewhere(lambda: core.link(b"/plain", b"/second"))
    assert seen(box, b"/plain", fd)[4] == 2
    elsewhere(lambda: core.chown(b"/plain", 3, 3))
    assert core.stat(b"/plain").uid == 3
    elsewhere(lambda: core.unlink(b"/plain"))
    assert core.fstat(fd).nlink == 1
    assert seen(box, b"/second", fd)[4] == 1
    os.close(fd)

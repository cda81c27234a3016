"""Records of the upper's files are remembered as long as nobody may have changed one, and no longer."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from stat import S_IFREG

import pytest

from tests.support.boxes.box import Box, f, fails, forked
from tests.support.boxes.launchfile import RECORD

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
    os.removexattr(box.upper / "owned", RECORD)  # behind everybody's back: this is how we know that nobody looks
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


def test_changes_by_the_descriptor_of_a_new_file(box: Box) -> None:
    """Its name is not looked for; what others did meanwhile counts."""
    core = box.core
    fd = core.open(b"/new", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    assert seen(box, b"/new", fd)[1:4] == (S_IFREG | 0o600, 0, 0)
    for mode in (0o640, 0o4755, 0o444, 0o644):
        core.chmod(None, mode, dirfd=fd)
        assert seen(box, b"/new", fd)[1:4] == (S_IFREG | mode, 0, 0)
    core.chown(None, 0, 0, dirfd=fd)
    core.utimens(None, 10**18, 2 * 10**18, dirfd=fd)
    assert core.stat(b"/new").mtime == 2 * 10**18
    elsewhere(lambda: core.chown(b"/new", 5, 6))
    core.chmod(None, 0o600, dirfd=fd)
    core.utimens(None, 10**18, 3 * 10**18, dirfd=fd)
    assert seen(box, b"/new", fd)[1:4] == (S_IFREG | 0o600, 5, 6)
    assert core.stat(b"/new").mtime == 3 * 10**18
    elsewhere(lambda: core.link(b"/new", b"/second"))
    core.chmod(None, 0o640, dirfd=fd)
    assert (core.stat(b"/second").mode, core.stat(b"/second").uid) == (S_IFREG | 0o640, 5)
    elsewhere(lambda: (core.unlink(b"/new"), core.unlink(b"/second"), core.write(b"/new", b"another")))
    core.chmod(None, 0o666, dirfd=fd)
    assert core.stat(b"/new").mode == S_IFREG | 0o644
    os.close(fd)


@pytest.mark.parametrize("asked", [False, True])
def test_who_may_not_change_it_may_not_by_descriptor(box: Box, asked: bool) -> None:
    core = box.core
    fd = core.open(b"/new", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
    if asked:
        seen(box, b"/new", fd)
    core.identity(1000, 1000)
    changes: tuple[Callable[[], object], ...] = (
        lambda: core.chmod(None, 0o666, dirfd=fd),
        lambda: core.chown(None, 1000, 1000, dirfd=fd),
        lambda: core.utimens(None, 0, 0, dirfd=fd),
    )
    for change in changes:
        with fails(errno.EPERM):
            change()
    named = os.open(f"/proc/self/fd/{fd}", os.O_PATH)
    core.identity(0, 0)
    for change in (lambda: core.chmod(None, 0o666, dirfd=named), lambda: core.chown(None, 0, 0, dirfd=named)):
        with fails(errno.EBADF):
            change()
    assert core.stat(b"/new").mode == S_IFREG | 0o644
    os.close(named)
    os.close(fd)

"""What is recorded of a file with several names is one, whatever name is asked: as the kernel has it of an inode.

So is the time of the change (st_ctime): a change that only a record tells of is one like any other.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import stat
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from rootlay.vfs.merge.filerecord import NAME
from rootlay.vfs.merge.stack import DirLayer, Stack
from rootlay.vfs.overlay.overlay import Overlay
from tests.support.boxes.box import Box, f, fails
from tests.support.boxes.corelib import NOFOLLOW, Core
from tests.support.boxes.image import NODES
from tests.support.boxes.launchfile import ATTRIBUTES, MARKS, Dir

#: What chmod() gives; a real file cannot have most of them.
MODES = (0o644, 0o444, 0o000, 0o200, 0o4755, 0o2711, 0o6555, 0o1600)
KINDS = {"make": stat.S_IFREG, "make a FIFO": stat.S_IFIFO, "make a socket": stat.S_IFSOCK}
NAMES = tuple(f"n{i}" for i in range(6))
TRUSTED = b"trusted.t"
REALTIME_COARSE = 5  # <linux/time.h>
STEPS = 400


@pytest.fixture
def box(make: Callable[..., Box]) -> Box:
    return make(NODES)


def without_xattrs(path: Path) -> bool:
    try:
        os.setxattr(path, "user.rootlay.test", b"")
    except OSError as error:
        return error.errno == errno.EOPNOTSUPP
    os.removexattr(path, "user.rootlay.test")
    return False


@pytest.fixture(autouse=True)
def needs_xattrs(tmp_path: Path) -> None:
    if without_xattrs(tmp_path):
        pytest.skip("the file system of the temporary directory has no user.* attributes")


@dataclass
class Step:
    """One operation: the same on names of the container and of a plain directory."""

    core: Core
    plain: Path
    name: str
    other: str
    mode: int
    number: int
    kept: dict[int, bytes]

    def inside(self, what: str) -> object:
        core, here, there = self.core, b"/tmp/w/" + self.name.encode(), b"/tmp/w/" + self.other.encode()
        calls: dict[str, Callable[[], object]] = {
            **{name: partial(core.mknod, here, kind | self.mode) for name, kind in KINDS.items()},
            "symlink": lambda: core.symlink(b"nowhere", here),
            "link": lambda: core.link(here, there),
            "chmod": lambda: core.chmod(here, self.mode),
            "chown": lambda: core.chown(here, self.number, self.number, flags=NOFOLLOW),
            "record": lambda: core.setxattr(here, TRUSTED, b"%d" % self.number, flags=NOFOLLOW),
            "unrecord": lambda: core.removexattr(here, TRUSTED, flags=NOFOLLOW),
            "rename": lambda: core.rename(here, there),
            "unlink": lambda: core.unlink(here),
            "xattr": lambda: core.setxattr(here, b"user.a", b"%d" % self.number),
            "write": lambda: core.write(here, b"x", os.O_WRONLY | os.O_NONBLOCK),
        }
        return calls[what]()

    def outside(self, what: str) -> object:
        here, there = self.plain / self.name, self.plain / self.other
        calls: dict[str, Callable[[], object]] = {
            **{name: partial(make_file, here, kind, self.mode) for name, kind in KINDS.items()},
            "symlink": lambda: here.symlink_to("nowhere"),
            "link": lambda: os.link(here, there, follow_symlinks=False),
            "chmod": lambda: here.chmod(self.mode),
            "chown": lambda: chown(here),
            "rename": lambda: here.rename(there),
            "unlink": here.unlink,
            "xattr": lambda: mark(here, self.number),
            "record": lambda: changed(here, self.kept, b"%d" % self.number),
            "unrecord": lambda: changed(here, self.kept, None),
            "write": lambda: write(here),
        }
        return calls[what]()


OPERATIONS = (
    *KINDS, "symlink", "link", "link", "link", "chmod", "chown", "chown", "rename", "unlink", "xattr", "record",
    "unrecord", "write",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_changes_shows_as_on_a_plain_directory(box: Box, tmp_path: Path, seed: int) -> None:
    """Links, renames, removals, modes, attributes and times are compared with the kernel's; owners and `trusted.*`,
    which it gives to root alone, with one number for each of its inodes."""
    core, plain, choose = box.core, tmp_path / "plain", random.Random(seed)
    plain.mkdir()
    core.mkdir(b"/tmp/w", 0o777)
    owner: dict[int, int] = {}
    kept: dict[int, bytes] = {}
    for _ in range(STEPS):
        what = choose.choice(OPERATIONS)
        names = (choose.choice(NAMES), choose.choice(NAMES))
        step = Step(core, plain, *names, choose.choice(MODES), choose.randrange(4), kept)
        began = tick()
        assert code_of(step.inside, what) == code_of(step.outside, what), (what, names)
        present = {name: os.lstat(plain / name) for name in os.listdir(plain)}
        if what == "chown" and step.name in present:
            owner[present[step.name].st_ino] = step.number
        owner = {info.st_ino: owner.get(info.st_ino, 0) for info in present.values()}
        for gone in kept.keys() - owner.keys():
            del kept[gone]
        if what == "xattr":  # mark() changes the mode, too
            began = sys.maxsize
        compare(core, plain, present, owner, began)
        assert {name: value(core, name) for name in present} == {n: kept.get(i.st_ino) for n, i in present.items()}
    assert python_agrees(box, plain)


def tick() -> int:
    """Wait until the kernel's clock for files is past all earlier changes, and say what it shows.

    Since Linux 6.13 a change after a look at the time has a finer one, which can be later than what this clock shows.
    """
    before = time.time_ns()
    while (now := time.clock_gettime_ns(REALTIME_COARSE)) <= before:
        time.sleep(0.0005)
    return now


def value(core: Core, name: str) -> bytes | None:
    path = b"/tmp/w/" + name.encode()
    listed = TRUSTED in core.listxattr(path, flags=NOFOLLOW)
    return core.getxattr(path, TRUSTED, flags=NOFOLLOW) if listed else None


def compare(core: Core, plain: Path, present: dict[str, os.stat_result], owner: dict[int, int], began: int) -> None:
    """`began`: of what the kernel has changed since then it is after that."""
    shown = {name: core.lstat(b"/tmp/w/" + name.encode()) for name in present}
    for name, info in present.items():
        got = shown[name]
        assert (got.mode, got.nlink) == (info.st_mode, info.st_nlink), name
        assert (got.uid, got.gid) == (owner[info.st_ino],) * 2, name
        same = {other for other in present if present[other].st_ino == info.st_ino}
        assert {other for other in present if shown[other].ino == got.ino} == same
        assert info.st_ctime_ns < began or got.ctime >= began, name
        names = [x for x in core.listxattr(b"/tmp/w/" + name.encode(), flags=NOFOLLOW) if x != TRUSTED]
        assert names == [os.fsencode(x) for x in os.listxattr(plain / name, follow_symlinks=False)]


def make_file(path: Path, kind: int, mode: int) -> None:
    os.mknod(path, kind | 0o600)
    path.chmod(mode & ~0o022)


def write(path: Path) -> None:
    """As root, at once: nobody reads the FIFO, or listens."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.ENXIO, "nobody there")


def chown(path: Path) -> None:
    """What chown(2) does to the mode: set-id bits go."""
    mode = stat.S_IMODE(path.lstat().st_mode)
    if path.is_symlink():
        os.chown(path, -1, -1, follow_symlinks=False)
    else:
        path.chmod(mode & ~stat.S_ISUID & (~stat.S_ISGID if mode & stat.S_IXGRP else ~0))


def changed(path: Path, kept: dict[int, bytes], value: bytes | None) -> None:
    """As an attribute that is set or removed."""
    number = path.lstat().st_ino
    if value is None and number not in kept:
        raise OSError(errno.ENODATA, "no such attribute")
    if path.is_symlink():
        os.chown(path, -1, -1, follow_symlinks=False)
    else:
        path.chmod(stat.S_IMODE(path.lstat().st_mode))
    kept.pop(number, None)
    if value is not None:
        kept[number] = value


def mark(path: Path, value: int) -> None:
    """As root, whom modes do not keep away."""
    if not path.is_file():
        os.setxattr(path, "user.a", b"")
    mode = stat.S_IMODE(path.lstat().st_mode)
    path.chmod(0o600)
    os.setxattr(path, "user.a", b"%d" % value)
    path.chmod(mode)


def code_of(action: Callable[[str], object], what: str) -> int:
    try:
        action(what)
    except OSError as error:
        return error.errno or -1
    return 0


def python_agrees(box: Box, plain: Path) -> bool:
    layer = DirLayer.at(box.upper, writable=True)
    with contextlib.closing(Overlay(Stack((layer,)))) as overlay:
        for name in os.listdir(plain):
            path = b"/tmp/w/" + name.encode()
            found, shown = overlay.lstat(path), box.core.lstat(path)
            for field in ("mode", "uid", "gid", "ino", "nlink", "size"):
                assert getattr(found, field) == getattr(shown, field), (name, field)
    return True


def test_a_name_that_never_saw_the_change_shows_it(box: Box) -> None:
    core = box.core
    core.write(b"/tmp/a", b"1")
    core.link(b"/tmp/a", b"/tmp/b")
    core.mkdir(b"/tmp/d")
    core.rename(b"/tmp/b", b"/tmp/d/b")
    core.chown(b"/tmp/a", 5, 6)
    core.setxattr(b"/tmp/a", b"security.capability", b"\x01cap")
    core.unlink(b"/tmp/a")
    core.link(b"/tmp/d/b", b"/tmp/c")
    core.rename(b"/tmp/d", b"/tmp/e")
    for name in (b"/tmp/e/b", b"/tmp/c"):
        assert (core.stat(name).uid, core.stat(name).gid) == (5, 6)
        assert core.getxattr(name, b"security.capability") == b"\x01cap"
    fd = core.open(b"/tmp/c", os.O_RDONLY)
    assert (core.fstat(fd).uid, core.stat(b"/tmp/c").nlink) == (5, 2)
    core.chown(None, 0, 0, dirfd=fd)
    os.close(fd)
    assert core.stat(b"/tmp/e/b").uid == 0


def test_no_program_sees_where_it_is_kept(box: Box) -> None:
    core = box.core
    core.write(b"/tmp/a", b"1")
    core.link(b"/tmp/a", b"/tmp/b")
    core.chown(b"/tmp/a", 5, 5)
    assert os.getxattr(box.upper / "tmp/b", NAME) == b"u=5;g=5"
    assert core.listxattr(b"/tmp/a") == []
    name = NAME.encode()
    with fails(errno.ENODATA):
        core.getxattr(b"/tmp/a", name)
    with fails(errno.EPERM):
        core.setxattr(b"/tmp/a", name, b"u=0")
    with fails(errno.ENODATA):
        core.removexattr(b"/tmp/a", name)
    assert core.stat(b"/tmp/b").uid == 5


def test_a_shared_record_of_no_meaning_is_an_error(box: Box) -> None:
    core = box.core
    core.write(b"/tmp/a", b"1")
    core.link(b"/tmp/a", b"/tmp/b")
    core.chown(b"/tmp/a", 5, 5)
    os.setxattr(box.upper / "tmp/b", NAME, b"u=x")
    with fails(errno.EIO):
        core.stat(b"/tmp/a")


def test_a_copy_of_a_frozen_upper_s_file_takes_it_along(make: Callable[..., Box], tmp_path: Path) -> None:
    below = make(NODES)
    below.core.write(b"/tmp/a", b"1")
    below.core.link(b"/tmp/a", b"/tmp/b")
    below.core.chown(b"/tmp/a", 5, 6)
    below.core.setxattr(b"/tmp/a", b"security.capability", b"\x01cap")
    frozen = below.upper.rename(tmp_path / "frozen")
    core = make(lowers=[Dir(str(frozen), MARKS | ATTRIBUTES)]).core
    assert (core.stat(b"/tmp/b").uid, core.stat(b"/tmp/b").nlink) == (5, 2)
    core.write(b"/tmp/b", b"2", os.O_WRONLY)
    assert (core.stat(b"/tmp/b").uid, core.stat(b"/tmp/b").gid, core.stat(b"/tmp/b").nlink) == (5, 6, 1)
    assert core.getxattr(b"/tmp/b", b"security.capability") == b"\x01cap"
    core.chown(b"/tmp/b", 7, 7)
    assert (core.stat(b"/tmp/b").uid, core.stat(b"/tmp/a").uid) == (7, 5)


def test_a_copy_of_one_of_several_lower_names_is_a_file_of_its_own(make: Callable[..., Box]) -> None:
    two = f(mode=0o755, same_as=b"/bin/su", source=b"/bin/su")
    core = make({**NODES, b"/bin/two": two}).core
    assert core.stat(b"/bin/two").ino == core.stat(b"/bin/su").ino
    core.chown(b"/bin/two", 9, 9, flags=NOFOLLOW)
    assert core.stat(b"/bin/two").ino != core.stat(b"/bin/su").ino
    assert (core.stat(b"/bin/two").nlink, core.stat(b"/bin/su").uid) == (1, NODES[b"/bin/su"].uid)


def linked_records(box: Box) -> list[str]:
    return sorted(path.name for path in box.upper.rglob(".wh..wh.l.*"))


@pytest.mark.parametrize("kind", ["FIFO", "socket", "symlink"])
def test_names_of_a_special_file_share_what_is_recorded_of_it(box: Box, kind: str) -> None:
    core = box.core
    names = core.listdir(b"/")
    if kind == "symlink":
        core.symlink(b"nowhere", b"/tmp/a")
    else:
        core.mknod(b"/tmp/a", (stat.S_IFIFO if kind == "FIFO" else stat.S_IFSOCK) | 0o600)
    core.mkdir(b"/tmp/d")
    core.link(b"/tmp/a", b"/tmp/b")
    core.rename(b"/tmp/b", b"/tmp/d/b")
    core.link(b"/tmp/d/b", b"/tmp/c")
    core.chown(b"/tmp/c", 5, 6, flags=NOFOLLOW)
    core.setxattr(b"/tmp/a", TRUSTED, b"1", flags=NOFOLLOW)
    core.rename(b"/tmp/d", b"/tmp/e")
    for name in (b"/tmp/a", b"/tmp/e/b", b"/tmp/c"):
        assert (core.lstat(name).uid, core.lstat(name).gid, core.lstat(name).nlink) == (5, 6, 3)
        assert core.getxattr(name, TRUSTED, flags=NOFOLLOW) == b"1"
    core.write(b"/tmp/other", b"x")
    core.rename(b"/tmp/other", b"/tmp/a")
    core.unlink(b"/tmp/c")
    assert core.lstat(b"/tmp/a").uid == 0
    assert core.lstat(b"/tmp/e/b").uid == 5
    assert len(linked_records(box)) == 1
    core.unlink(b"/tmp/e/b")
    assert linked_records(box) == []
    assert core.listdir(b"/") == names


def test_a_replaced_special_file_takes_its_record_along(box: Box) -> None:
    core = box.core
    core.symlink(b"x", b"/tmp/a")
    core.link(b"/tmp/a", b"/tmp/b")
    core.unlink(b"/tmp/b")
    core.write(b"/tmp/f", b"")
    core.rename(b"/tmp/f", b"/tmp/a")
    assert linked_records(box) == []


def test_a_linked_record_that_is_gone_says_nothing(box: Box) -> None:
    core = box.core
    core.symlink(b"x", b"/tmp/a")
    core.link(b"/tmp/a", b"/tmp/b")
    core.chown(b"/tmp/a", 5, 5, flags=NOFOLLOW)
    (box.upper / linked_records(box)[0]).unlink()
    assert core.lstat(b"/tmp/a").uid == 0

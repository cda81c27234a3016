"""POSIX ACLs, for comparisons with the kernel's: random changes and accesses of several users on a plain directory."""

from __future__ import annotations

import os
import random
import stat
import struct
from collections.abc import Callable
from typing import Any

import pytest

from tests.native.test_core_random import TREE, a_path
from tests.support.boxes.plain import Plain
from tests.support.boxes.trees import outcome, put, whole_tree

User = tuple[int, int, tuple[int, ...]]
Operation = Callable[[random.Random], tuple[str, tuple[object, ...]]]
ACCESS, DEFAULT = b"system.posix_acl_access", b"system.posix_acl_default"
USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 1, 2, 4, 8, 16, 32
NO_ID = 0xFFFFFFFF
IDS = (0, 1000, 1001, 1002, 4711)

Entries = list[tuple[int, int, int]]


def packed(entries: Entries, version: int = 2) -> bytes:
    return struct.pack("<I", version) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def an_acl(rng: random.Random) -> bytes:
    """A value: mostly right, sometimes only the mode's, sometimes malformed."""

    def perm() -> int:
        return rng.choice((0, 1, 4, 5, 6, 7, 7))

    entries: Entries = [(USER_OBJ, perm(), NO_ID)]
    entries += [(USER, perm(), rng.choice(IDS)) for _ in range(rng.randrange(3))]
    entries += [(GROUP_OBJ, perm(), NO_ID)]
    entries += [(GROUP, perm(), rng.choice(IDS)) for _ in range(rng.randrange(3))]
    if len(entries) > 2 or rng.random() < 0.3:
        entries.append((MASK, perm(), NO_ID))
    entries.append((OTHER, perm(), NO_ID))
    if rng.random() < 0.15:
        what = rng.randrange(6)
        if what == 0:
            entries.pop(rng.randrange(len(entries)))
        elif what == 1:
            rng.shuffle(entries)
        elif what == 2:
            entries[0] = (USER_OBJ, 8, 5)
        elif what == 3:
            entries.append((64, 7, 1))
        elif what == 4:
            return packed(entries)[: rng.randrange(20)]
        else:
            return packed(entries, version=rng.randrange(4))
    return packed(entries)


def an_acl_operation(rng: random.Random) -> tuple[str, tuple[object, ...]]:
    p, name = a_path(rng), rng.choice((ACCESS, DEFAULT))
    mode = rng.choice((0o777, 0o755, 0o700, 0o666, 0o644, 0o640, 0o020, 0o000))
    table: list[tuple[str, tuple[object, ...]]] = [
        *[("setxattr", (p, name, an_acl(rng), rng.choice((0, 0, 0, 1, 2))))] * 4,
        ("removexattr", (p, name)),
        ("getxattr", (p, name)),
        ("acls", (p,)),
        *[("chmod", (p, mode))] * 2,
        ("mkdir", (p, mode)),
        ("mknod", (p, stat.S_IFIFO | mode)),
        ("write", (p, b"x", os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)),
        ("unnamed", (p, mode, an_acl(rng))),
        *[("access", (p, rng.randrange(8)))] * 2,
        ("read", (p,)),
        ("listdir", (p,)),
    ]
    return rng.choice(table)


class Real(Plain):
    """The oracle: one of several users, real and effective."""

    who: tuple[int, int, tuple[int, ...]] | None = None

    def as_user(self, name: str, args: tuple[object, ...], umask: int) -> object:
        os.umask(umask)
        if self.who is None:
            result = outcome(self, name, args)
        else:
            uid, gid, groups = self.who
            os.setgroups(groups)
            os.setresgid(gid, gid, 0)
            os.setresuid(uid, uid, 0)
            try:
                result = outcome(self, name, args)
            finally:
                os.setresuid(0, 0, 0)
                os.setresgid(0, 0, 0)
                os.setgroups([])
        os.umask(0)
        return result

    def acls(self, path: bytes) -> list[str]:
        return sorted(name for name in os.listxattr(self.at(path)) if name.startswith("system."))

    def unnamed(self, path: bytes, mode: int, value: bytes) -> list[object]:
        fd = self.open(path, os.O_TMPFILE | os.O_RDWR, mode)
        try:
            return [
                os.fstat(fd).st_mode,
                outcome(os, "getxattr", (fd, ACCESS)),
                outcome(os, "fchmod", (fd, 0o640)),
                outcome(os, "getxattr", (fd, ACCESS)),
                outcome(os, "setxattr", (fd, ACCESS, value)),
                os.fstat(fd).st_mode,
                sorted(name for name in os.listxattr(fd) if name.startswith("system.")),
            ]
        finally:
            os.close(fd)


def acls_of(side: Any, tree: dict[bytes, tuple[object, ...]]) -> dict[bytes, object]:
    """The ACLs of all objects of a tree."""
    kinds = (ACCESS, DEFAULT)
    solid = [path for path, facts in tree.items() if not stat.S_ISLNK(int(str(facts[0]), 8))]
    return {path: [outcome(side, "getxattr", (path, kind)) for kind in kinds] for path in solid}


def sets_ids(plain: Real, name: str, args: tuple[object, ...]) -> bool:
    before = outcome(plain, "stat", (args[0],))
    made = isinstance(args[-1], int) and name == "write" and bool(args[-1] & 0o6000)
    return made or (isinstance(before, os.stat_result) and bool(before.st_mode & 0o6000))


def is_fifo(plain: Real, path: object) -> bool:
    """Whether an open might wait."""
    found = outcome(plain, "stat", (path,))
    return isinstance(found, os.stat_result) and stat.S_ISFIFO(found.st_mode)


def compare(
    inside: Any,
    become: Callable[[User, int], None],
    plain: Real,
    rng: random.Random,
    users: list[User],
    operation: Operation,
    dots: bool = True,
) -> str:
    """Do 500 operations on both sides, and return what they were. `become(user, umask)` changes the user inside; the
    first user may see everything. `dots`: with paths that have `.` and `..`."""
    log: list[str] = []
    for i in range(500):
        who = rng.choice(users)
        plain.who = who if len(users) > 1 else None
        name, args = an_acl_operation(rng) if rng.random() < 0.75 else operation(rng)
        umask = rng.choice((0, 0o022, 0o077, 0o027))
        if len(users) > 1 and name in ("write", "link", "truncate") and sets_ids(plain, name, args):
            continue  # the bits go at the open, not at the write
        if not dots and any(isinstance(arg, bytes) and b"/." in arg for arg in args[:2]):
            continue
        if not hasattr(inside, name) or (name == "read" and is_fifo(plain, args[0])):
            continue
        become(who, umask)
        want, got = plain.as_user(name, args, umask), outcome(inside, name, args)
        log.append(f"{who} {umask:o} {name}{args} -> {want}")
        assert got == want, "\n".join([*log[-30:], f"inside: {got}"])
        if i % 10 == 9:
            become(users[0], 0)
            plain.who = None
            one, two = whole_tree(inside, False), whole_tree(plain, False)
            assert one == two, "\n".join(log[-30:])
            assert acls_of(inside, one) == acls_of(plain, two), "\n".join(log[-30:])
    return "\n".join(log)


def oracle(root: bytes) -> Real:
    plain = Real(root)
    put(plain.root, TREE)
    if outcome(plain, "setxattr", (b"", ACCESS, packed([(1, 7, NO_ID), (4, 5, NO_ID), (32, 5, NO_ID)]))) is not None:
        pytest.skip("the file system has no ACLs")
    for name in (b"a", b"b", b"c", b"d", b"e"):
        os.symlink(b"plain/" + name, plain.root + b"/../" + name)
    return plain

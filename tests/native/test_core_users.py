"""Permissions of users that exist only inside, against the kernel's for real ones: the oracle changes its user."""

from __future__ import annotations

import errno
import os
import random
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.native.test_core_random import NAMES, TREE, an_operation
from tests.support.boxes.box import Box
from tests.support.boxes.corelib import Core
from tests.support.boxes.plain import Plain
from tests.support.boxes.trees import outcome, put, whole_tree
from tests.support.boxes.viewfile import Node

USERS = [(0, 0, ()), (1000, 1000, ()), (1001, 1000, ()), (1002, 1002, (1000,))]

pytestmark = [
    pytest.mark.oracles,
    pytest.mark.needs_root("the oracle is a real directory of several users"),
]


class RealUser(Plain):
    """The oracle, with the kernel's idea of who asks."""

    who: tuple[int, int, tuple[int, ...]] = USERS[0]

    def as_user(self, name: str, args: tuple[object, ...]) -> object:
        uid, gid, groups = self.who
        os.setgroups(groups)
        os.setegid(gid)
        os.seteuid(uid)
        try:
            return outcome(self, name, args)
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups([])


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that every user can reach: pytest's own are private."""
    path = Path(tempfile.mkdtemp(prefix="rootlay-users-"))
    path.chmod(0o755)
    umask, groups = os.umask(0), os.getgroups()
    yield path
    os.umask(umask)
    os.setgroups(groups)
    shutil.rmtree(path)


def owner_of(path: bytes) -> tuple[int, int]:
    return USERS[1][:2] if path.startswith(b"/a") else USERS[3][:2] if path.startswith(b"/d") else (0, 0)


def differs(name: str, args: tuple[object, ...], plain: Plain) -> bool:
    """Where not seeing writes makes a known difference."""
    if name == "write" and isinstance(args[3], int) and args[3] & 0o6000:
        return True
    a = outcome(plain, "stat", (args[0],))
    return name in ("write", "link", "truncate") and isinstance(a, os.stat_result) and bool(a.st_mode & 0o6000)


@pytest.mark.parametrize("seed", range(int(os.environ.get("ROOTLAY_CORE_SEEDS", "4"))))
def test_users_may_do_what_the_kernel_lets_them(core_library: Path, public: Path, seed: int) -> None:
    rng = random.Random(f"users {seed}")
    nodes = {p: Node(n.mode, n.data, *owner_of(p), n.mtime_ns, n.link) for p, n in TREE.items()}
    box = Box(Core(core_library), public, {**nodes, b"": Node(stat.S_IFDIR | 0o777)})
    plain = RealUser(os.fsencode(public / "outside" / "plain"))
    put(plain.root, TREE)
    for path in TREE:
        os.chown(plain.root + path, *owner_of(path), follow_symlinks=False)
    os.chmod(plain.root, 0o777)
    for n in NAMES:
        os.symlink(b"plain/" + n, plain.root + b"/../" + n)
    log: list[str] = []
    try:
        for i in range(400):
            plain.who = rng.choice(USERS)
            name, args = an_operation(rng)
            if rng.random() < 0.08:
                name, args = "lchown", (args[0], rng.choice((0, 1000, 1002)), rng.choice((0, 1000, 1002)))
            if name in ("access", "mknod") or differs(name, args, plain):
                continue  # access(2) asks for the real user, and the oracle changes the effective one
            box.core.identity(*plain.who, umask=0)
            want, got = plain.as_user(name, args), outcome(box.core, name, args)
            log.append(f"{plain.who} {name}{args} -> {want}")
            assert got == want, "\n".join(log[-30:])
            if i % 10 == 9 or want is None:
                box.core.identity(0, 0)
                assert whole_tree(box.core, False) == whole_tree(plain, False), "\n".join(log[-30:])
    finally:
        box.close()
    assert any(errno.errorcode[errno.EACCES] in line for line in log)

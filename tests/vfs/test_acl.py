"""POSIX ACLs of the Python rules against the kernel's: random changes and accesses of several users, or of one."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from rootlay.vfs.merge.identity import Identity
from tests.native.test_core_random import TREE, a_path
from tests.native.test_core_users import USERS, owner_of, public
from tests.support.boxes.viewfile import Node
from tests.support.oracles.acls import User, compare, oracle
from tests.vfs.conftest import StackBuilder
from tests.vfs.test_calls import IDS, Rules, entry_of

__all__ = ["public"]


class Inside(Rules):
    """The rules with the oracle's additional question, for a user that changes."""

    def become(self, user: User, umask: int) -> None:
        self.overlay = self.overlay.as_identity(Identity(user[0], user[1], frozenset(user[2]), umask))

    def acls(self, path: bytes) -> list[str]:
        return [name.decode() for name in self.overlay.listxattr(path) if name.startswith(b"system.")]


def an_operation(rng: random.Random) -> tuple[str, tuple[object, ...]]:
    p, q = a_path(rng).rstrip(b"/") or b"/a", a_path(rng)
    table: list[tuple[str, tuple[object, ...]]] = [
        ("rename", (p, q)),
        ("unlink", (p,)),
        ("rmdir", (p,)),
        ("symlink", (b"a", p)),
    ]
    return rng.choice(table)


def inside(place: Path, owner: Callable[[bytes], tuple[int, int]], mode: int, build: StackBuilder) -> Inside:
    nodes = {b"": Node(0o040000 | mode), **TREE}
    layer = [entry_of(p, Node(n.mode, n.data, *owner(p), n.mtime_ns, n.link)) for p, n in nodes.items()]
    overlay = build.overlay(layers=(layer,))
    return Inside(overlay, place)


@pytest.mark.oracles
@pytest.mark.needs_root("the oracle is a real directory of several users")
@pytest.mark.parametrize("seed", range(int(os.environ.get("ROOTLAY_CORE_SEEDS", "4"))))
def test_users_may_do_what_the_kernel_s_acls_grant(build: StackBuilder, public: Path, seed: int) -> None:
    os.umask(0)
    side = inside(public, owner_of, 0o777, build)
    plain = oracle(os.fsencode(public / "outside" / "plain"))
    for path in TREE:
        os.chown(plain.root + path, *owner_of(path), follow_symlinks=False)
    os.chmod(plain.root, 0o777)
    log = compare(side, side.become, plain, random.Random(f"acl {seed}"), USERS, an_operation, dots=False)
    assert all(code in log for code in ("EACCES", "EPERM", "EINVAL"))


@pytest.mark.parametrize("seed", range(int(os.environ.get("ROOTLAY_CORE_SEEDS", "2"))))
def test_an_owner_s_acls_are_those_of_a_plain_directory(build: StackBuilder, tmp_path: Path, seed: int) -> None:
    if os.getuid() == 0:
        pytest.skip("root may do more outside: run as an ordinary user")
    umask = os.umask(0)
    side = inside(tmp_path, lambda path: IDS, 0o755, build)
    plain = oracle(os.fsencode(tmp_path / "outside" / "plain"))
    compare(
        side,
        side.become,
        plain,
        random.Random(f"acl {seed}"),
        [(*IDS, tuple(os.getgroups()))],
        an_operation,
        dots=False,
    )
    os.umask(umask)

"""POSIX ACLs of the core against the kernel's: random changes and accesses of several users, or of one."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.native.test_core_random import STACKS, TREE, an_operation
from tests.native.test_core_users import USERS, owner_of, public
from tests.support.boxes.box import Box
from tests.support.boxes.corelib import Core
from tests.support.boxes.trees import outcome
from tests.support.boxes.viewfile import Node
from tests.support.oracles.acls import ACCESS, User, compare, oracle

__all__ = ["public"]


class Inside:
    """The core with the oracle's two additional questions."""

    def __init__(self, core: Core) -> None:
        self.core = core

    def __getattr__(self, name: str) -> object:
        return getattr(self.core, name)

    def acls(self, path: bytes) -> list[str]:
        return [name.decode() for name in self.core.listxattr(path) if name.startswith(b"system.")]

    def unnamed(self, path: bytes, mode: int, value: bytes) -> list[object]:
        core = self.core
        fd = core.open(path, os.O_TMPFILE | os.O_RDWR, mode)
        try:
            return [
                core.fstat(fd).mode,
                outcome(core, "getxattr", (None, ACCESS, fd)),
                outcome(core, "chmod", (None, 0o640, fd)),
                outcome(core, "getxattr", (None, ACCESS, fd)),
                outcome(core, "setxattr", (None, ACCESS, value, 0, fd)),
                core.fstat(fd).mode,
                [name.decode() for name in core.listxattr(None, fd)],
            ]
        finally:
            os.close(fd)


def become(core: Core) -> Callable[[User, int], None]:
    return lambda who, umask: core.identity(*who, umask=umask)


@pytest.fixture
def quiet_umask() -> Iterator[None]:
    umask = os.umask(0)
    yield
    os.umask(umask)


@pytest.mark.oracles
@pytest.mark.needs_root("the oracle is a real directory of several users")
@pytest.mark.parametrize("seed", range(int(os.environ.get("ROOTLAY_CORE_SEEDS", "4"))))
def test_users_may_do_what_the_kernel_s_acls_grant(core_library: Path, public: Path, seed: int) -> None:
    rng = random.Random(f"acl {seed}")
    nodes = {p: Node(n.mode, n.data, *owner_of(p), n.mtime_ns, n.link) for p, n in TREE.items()}
    box = Box(Core(core_library), public, {**nodes, b"": Node(stat.S_IFDIR | 0o777)})
    plain = oracle(os.fsencode(public / "outside" / "plain"))
    for path in TREE:
        os.chown(plain.root + path, *owner_of(path), follow_symlinks=False)
    os.chmod(plain.root, 0o777)
    try:
        log = compare(Inside(box.core), become(box.core), plain, rng, USERS, an_operation)
    finally:
        box.close()
    assert all(code in log for code in ("EACCES", "EPERM", "EINVAL"))


@pytest.mark.parametrize("seed", range(int(os.environ.get("ROOTLAY_CORE_SEEDS", "2"))))
@pytest.mark.parametrize("stack", ["view_only", "marked_layer_over_view"])
def test_an_owner_s_acls_are_those_of_a_plain_directory(
    make: Callable[..., Box], tmp_path: Path, quiet_umask: None, stack: str, seed: int
) -> None:
    if os.getuid() == 0:
        pytest.skip("root may do more outside: run as an ordinary user")
    rng = random.Random(f"acl {stack} {seed}")
    ids = (os.getuid(), os.getgid())
    box = STACKS[stack](make, tmp_path, rng, ids)
    plain = oracle(os.fsencode(tmp_path / "outside" / "plain"))
    me = (*ids, tuple(os.getgroups()))
    compare(Inside(box.core), become(box.core), plain, rng, [me], an_operation)

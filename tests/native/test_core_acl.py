"""POSIX ACLs of the core against the kernel's: random changes and accesses of several users, or of one."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.native.test_core_random import NAMES, STACKS, TREE, an_operation
from tests.native.test_core_users import USERS, owner_of, public
from tests.support.boxes.box import Box
from tests.support.boxes.corelib import Core
from tests.support.boxes.launchfile import BIND_RECORDS, RECORD, Bind
from tests.support.boxes.trees import outcome
from tests.support.boxes.viewfile import Node
from tests.support.oracles.acls import ACCESS, User, compare, oracle

__all__ = ["public"]


class Inside:
    """The core with the oracle's two additional questions."""

    def __init__(self, core: Core | InVolume) -> None:
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


class InVolume:
    """The core's calls, with paths below the volume that is mounted at /v."""

    def __init__(self, core: Core) -> None:
        self.core = core

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self.core, name)
        paths = {"rename": (0, 1), "link": (0, 1), "symlink": (1,)}.get(name, (0,))

        def inside(*args: object, **options: object) -> object:
            return call(
                *(b"/v" + arg if n in paths and isinstance(arg, bytes) else arg for n, arg in enumerate(args)),
                **options,
            )

        return inside


def make_volume(make: Callable[..., Box], place: Path, owner: Callable[[bytes], tuple[int, int]], mode: int) -> Box:
    """A container with a volume at /v that has TREE."""
    volume = place / "volume"
    volume.mkdir()
    os.setxattr(volume, RECORD, b"")
    box = make({b"": Node(stat.S_IFDIR | 0o777)}, binds=[Bind("/v", str(volume), BIND_RECORDS)])
    core = InVolume(box.core)
    for path, node in TREE.items():
        if stat.S_ISDIR(node.mode):
            core.mkdir(path)
        elif stat.S_ISLNK(node.mode):
            core.symlink(node.link, path)
        else:
            core.write(path, node.data, os.O_CREAT | os.O_WRONLY, 0o600)
            core.utimens(path, node.mtime_ns, node.mtime_ns)
        core.lchown(path, *owner(path))
        if not stat.S_ISLNK(node.mode):
            core.chmod(path, stat.S_IMODE(node.mode))
    for name in NAMES:  # as `oracle` does: for links that lead above the volume
        box.core.symlink(b"v/" + name, b"/" + name)
    box.core.chmod(b"/v", mode)
    box.core.lchown(b"/v", *owner(b""))
    return box


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


@pytest.mark.oracles
@pytest.mark.needs_root("the oracle is a real directory of several users")
@pytest.mark.parametrize("seed", range(int(os.environ.get("ROOTLAY_CORE_SEEDS", "4"))))
def test_users_may_do_in_a_volume_what_the_kernel_s_acls_grant(
    core_library: Path, public: Path, quiet_umask: None, seed: int
) -> None:
    box = make_volume(lambda *a, **k: Box(Core(core_library), public, *a, **k), public, owner_of, 0o777)
    plain = oracle(os.fsencode(public / "outside" / "plain"))
    for path in TREE:
        os.chown(plain.root + path, *owner_of(path), follow_symlinks=False)
    os.chmod(plain.root, 0o777)
    side, rng = Inside(InVolume(box.core)), random.Random(f"volume {seed}")
    try:
        log = compare(side, become(box.core), plain, rng, USERS, an_operation, dots=False)
    finally:
        box.close()
    assert all(code in log for code in ("EACCES", "EPERM", "EINVAL"))


@pytest.mark.parametrize("seed", range(int(os.environ.get("ROOTLAY_CORE_SEEDS", "2"))))
def test_an_owner_s_acls_in_a_volume_are_those_of_a_plain_directory(
    make: Callable[..., Box], tmp_path: Path, quiet_umask: None, seed: int
) -> None:
    if os.getuid() == 0:
        pytest.skip("root may do more outside: run as an ordinary user")
    ids = (os.getuid(), os.getgid())
    box = make_volume(make, tmp_path, lambda path: ids, 0o755)
    plain = oracle(os.fsencode(tmp_path / "outside" / "plain"))
    side, rng = Inside(InVolume(box.core)), random.Random(f"volume {seed}")
    compare(side, become(box.core), plain, rng, [(*ids, tuple(os.getgroups()))], an_operation, dots=False)

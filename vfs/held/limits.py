"""Limits of one program and its descendants, and the means by which each of them is enforced.

Rules:
1. A delegated cgroup (version 2) holds memory and the number of processes. Otherwise the kernel's resource limits hold
   each process, and a regular count holds the whole tree: a program that exceeds the sum is killed WATCH_S later.
2. Resource limits are set by the engine before the program starts (`engine --set`): a caller may have threads.
3. The bytes on disk are counted, not reserved. Until the next count a program can write more, at most `disk` for each
   file; a file that was removed while it is open is not counted.
4. All limits end with the program: what is left of the tree is killed.
"""

from __future__ import annotations

import functools
import math
import os
import resource
import time
from pathlib import Path

from rootlay.store.containers.settings import Limits as ContainerLimits
from rootlay.store.model.value import fields, value
from rootlay.vfs.settings.cgroups import cgroup_name, controllers_for, find_parent, make_cgroup
from rootlay.vfs.settings.limits import LimitRefused, threads_of_user

COUNTED_S = 1.0
"""The time for which a count of the user's threads is used."""
WATCH_S = 0.05
"""Time between two counts."""


@value
class Limits:
    """Limits of one program with all its descendants; 0: no limit. `Container.run` and `popen` enforce them.

    Args:
        memory: bytes.
        cpu: seconds of processor time.
        wall: seconds from the start.
        pids: processes at a time.
        output: bytes of standard output, and as many of standard error. `run` drops further output, and says so.
        files: open files of each process.
        disk: bytes that the program may add to the container, and size of its largest file.
    """

    memory: int = 0
    cpu: float = 0.0
    wall: float = 0.0
    pids: int = 0
    output: int = 0
    files: int = 0
    disk: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError for a limit that is not a number from 0 on."""
        for name in fields(Limits):
            given = getattr(self, name)
            kinds = (int, float) if name in ("cpu", "wall") else (int,)
            if not isinstance(given, kinds) or isinstance(given, bool):
                raise TypeError(f"Limits: {name} is a number, not {type(given).__name__}: {str(given)[:60]}")
            if not 0 <= given < 1 << 62:
                raise ValueError(f"Limits: {name}={given}: give a number from 0 on; 0 turns the limit off")

    def means(self) -> dict[str, str]:
        """Return the means by which each limit would be enforced on this machine."""
        return {name: text for name, text in means(cgroup_parent(self) is not None).items() if getattr(self, name)}

    @property
    def is_watched(self) -> bool:
        """Whether the tree has to be counted while the program runs."""
        return bool(self.memory or self.cpu or self.pids or self.disk)


def means(delegated: bool) -> dict[str, str]:
    """Return the means for each limit, with or without a delegated cgroup."""
    counted = f"counted every {WATCH_S * 1000:.0f} ms"
    return {
        "memory": "cgroup memory.max" if delegated else f"RLIMIT_DATA of each process; the sum is {counted}",
        "cpu": f"RLIMIT_CPU of each process; the sum is {counted}",
        "wall": "the caller's clock",
        "pids": "cgroup pids.max" if delegated else f"RLIMIT_NPROC of the user, not for root; {counted}",
        "output": "the reader of the pipes",
        "files": "RLIMIT_NOFILE of each process",
        "disk": f"RLIMIT_FSIZE of each file; the sum is {counted}",
    }


def cgroup_parent(limits: Limits) -> Path | None:
    """Return the cgroup below which a program with these limits gets one; None: there is none, or it needs none."""
    controllers = controllers_for(_container_limits(limits))
    return find_parent(controllers) if controllers else None


def _container_limits(limits: Limits) -> ContainerLimits:
    return ContainerLimits(memory_bytes=limits.memory, pids=limits.pids)


@value
class Preparation:
    """What the engine sets before a program starts. `cgroup` is its directory, None for none."""

    words: str = ""
    cgroup: Path | None = None

    def command(self, report: int) -> list[str]:
        """Return the arguments of the engine in front of `--run`."""
        procs = str(self.cgroup / "cgroup.procs") if self.cgroup is not None else ""
        return ["--set", self.words, procs, str(report)]

    def release(self) -> None:
        """Remove the cgroup. Call it when no process is left in it. Idempotent."""
        if self.cgroup is not None:
            try:
                self.cgroup.rmdir()
            except OSError:  # removed, or a process outlives its killing
                return


def prepare(limits: Limits, neighbours: int = 1) -> Preparation:
    """Decide how a program gets its limits; its cgroup is made.

    Args:
        neighbours: how many programs with such limits this user runs at a time: RLIMIT_NPROC counts all of them.

    Raises:
        LimitRefused: a limit cannot be enforced here.
    """
    wanted: dict[int, tuple[int, int]] = {resource.RLIMIT_CORE: (0, 0)}
    parent = cgroup_parent(limits)
    if parent is None and limits.memory:
        wanted[resource.RLIMIT_DATA] = (limits.memory, limits.memory)
    if parent is None and limits.pids:
        if os.geteuid() == 0:
            raise LimitRefused(
                f"pids={limits.pids}",
                "there is no delegated cgroup, and no other limit of processes holds for root; use an ordinary user",
            )
        most = _threads_of_user(int(time.monotonic() / COUNTED_S)) + neighbours * limits.pids
        wanted[resource.RLIMIT_NPROC] = (most, most)
    if limits.cpu:
        wanted[resource.RLIMIT_CPU] = (math.ceil(limits.cpu), math.ceil(limits.cpu) + 1)
    if limits.files:
        wanted[resource.RLIMIT_NOFILE] = (limits.files, limits.files)
    if limits.disk:
        wanted[resource.RLIMIT_FSIZE] = (limits.disk, limits.disk)
    words = ",".join(f"{kind}={soft}:{hard}" for kind, (soft, hard) in _lowered(wanted).items())
    if parent is None:
        return Preparation(words)
    token = os.urandom(12).hex()
    try:
        return Preparation(words, make_cgroup(parent, token, _container_limits(limits)))
    except OSError as error:
        raise LimitRefused(str(parent / cgroup_name(token)), error.strerror or str(error)) from error


@functools.lru_cache(maxsize=1)
def _threads_of_user(moment: int) -> int:
    """Return the number of threads of this user: counted again when `moment` is another one."""
    return threads_of_user()


def _lowered(wanted: dict[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
    """Return limits that this process may set: none above its own hard limit."""
    found = {}
    for kind, (soft, hard) in wanted.items():
        most = resource.getrlimit(kind)[1]
        found[kind] = (soft, hard) if most == resource.RLIM_INFINITY else (min(soft, most), min(hard, most))
    return found

"""What a program has used up: asked regularly while it runs, and once at its end.

At the end a limit may have been reached without a count that shows it: the kernel ended a descendant, and the program
itself ended in its own way. Known are then:

1. the kernel's counts of the cgroup;
2. the processor time of the program with the children that it has waited for;
3. what shells tell by the exit code 128 + n: signal n ended their last program;
4. the files that have grown to the size where the kernel stops them.
"""

from __future__ import annotations

import contextlib
import math
import signal
import time
from pathlib import Path

from rootlay.store.model.value import value
from rootlay.vfs.held.limits import WATCH_S, Limits
from rootlay.vfs.held.tree import DiskUse, Tree, disk_use, sums

_REST = 4
"""A count that takes long is repeated after this multiple of its time."""
_OF_SIGNALS: dict[int, str] = {signal.SIGXCPU: "cpu", signal.SIGXFSZ: "disk"}
_EVENTS = (("memory", "memory.events", "oom_kill"), ("pids", "pids.events", "max"))
"""Limits, and what counts in a cgroup how often the kernel has ended a process, or refused one, for them."""
_SHELLS = 128
"""A shell's exit code is this number and that of the signal that ended its last program."""
_NEAR_S = 0.2
"""So much less processor time than a resource limit may be known of a program that it has ended: the kernel compares
other clocks, and the last count was before."""


@value
class Usage:
    """What a program has used: seconds, and bytes of the largest process. Of its children, those it has waited for."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    memory_peak: int = 0


def disk_before(limits: Limits, container: str) -> DiskUse:
    """Return what a container has on disk, if there is a limit of that."""
    return disk_use(container, limits.disk) if limits.disk else (0, frozenset())


class Watch:
    """Compares a running program with its limits.

    Args:
        container: the real path of the container's directory.
        cgroup: that of the program, None if it has none.
        before: what was on disk before the program started; None: it has not changed anything yet.
    """

    def __init__(
        self, limits: Limits, tree: Tree, container: str, cgroup: Path | None = None, before: DiskUse | None = None
    ) -> None:
        self.exceeded = ""
        self.started = time.monotonic()
        self._limits = limits
        self._tree = tree
        self._container = container
        self._due = self.started + WATCH_S
        self._disk_due = self._due
        self._cgroup = cgroup
        self._reached_before = self._reached()
        self._cpu_s = 0.0
        if before is None:
            before = disk_before(limits, container)
        self._disk_before, self._full_before = before

    def wait_s(self) -> float | None:
        """Return the seconds until the next `check`; None: none is needed."""
        due = [self._due] if self._limits.is_watched else []
        if self._limits.wall:
            due.append(self.started + self._limits.wall)
        return max(0.0, min(due) - time.monotonic()) if due else None

    def check(self) -> str:
        """Return the name of the limit that is exceeded; empty if none is."""
        now = time.monotonic()
        if self._limits.wall and now >= self.started + self._limits.wall:
            self.exceeded = "wall"
        elif self._limits.is_watched and now >= self._due:
            self.exceeded = self._count()
            now, began = time.monotonic(), now
            self._due = now + max(WATCH_S, _REST * (now - began))
        return self.exceeded

    def last(self, code: int, cpu_s: float = 0.0) -> str:
        """Return the limit that was reached, also if the kernel ended a program for it; empty if none is known.

        Args:
            code: the exit code of the program, or -n if signal n ended it.
            cpu_s: seconds of processor time of the program with its children, if that is known.
        """
        if not self.exceeded:
            self.exceeded = self._of_cgroup() or self._of_kernel(code, max(cpu_s, self._cpu_s))
        if not self.exceeded and self._limits.disk and self._uses_disk(full=True):
            self.exceeded = "disk"
        return self.exceeded

    def _reached(self) -> dict[str, int]:
        """Return how often the kernel has enforced the limits of the cgroup."""
        found = {}
        for name, file, key in _EVENTS:
            if self._cgroup is not None and getattr(self._limits, name):
                with contextlib.suppress(OSError):
                    counts = dict(line.split() for line in (self._cgroup / file).read_text("ascii").splitlines())
                    found[name] = int(counts.get(key, 0))
        return found

    def _of_cgroup(self) -> str:
        return next((name for name, count in self._reached().items() if count > self._reached_before.get(name, 0)), "")

    def _of_kernel(self, code: int, cpu_s: float) -> str:
        limits = self._limits
        name = _OF_SIGNALS.get(-code if code < 0 else code - _SHELLS, "")
        if limits.cpu and (cpu_s > limits.cpu or (name == "cpu" and cpu_s > math.ceil(limits.cpu) - _NEAR_S)):
            return "cpu"
        return name if name and getattr(limits, name) and (code < 0 or name == "disk") else ""

    def _count(self) -> str:
        limits = self._limits
        if limits.memory or limits.cpu or limits.pids:
            pids = self._tree.members()
            if limits.pids and len(pids) > limits.pids:
                return "pids"
            memory, self._cpu_s = sums(pids)
            if limits.memory and memory > limits.memory:
                return "memory"
            if limits.cpu and self._cpu_s > limits.cpu:
                return "cpu"
        return "disk" if limits.disk and self._uses_disk() else ""

    def _uses_disk(self, *, full: bool = False) -> bool:
        """Return whether the limit is exceeded; `full`: or a file has come to its size since the start."""
        most = self._disk_before + self._limits.disk
        total, files = disk_use(self._container, self._limits.disk, most)
        return total > most or (full and bool(files - self._full_before))

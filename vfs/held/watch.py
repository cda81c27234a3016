"""What a program has used up: asked regularly while it runs."""

from __future__ import annotations

import time

from rootlay.store.model.value import value
from rootlay.vfs.held.limits import WATCH_S, Limits
from rootlay.vfs.held.tree import Tree, disk_use, sums

_REST = 4
"""A count that takes long is repeated after this multiple of its time."""


@value
class Usage:
    """What a program has used: seconds, and bytes of the largest process. Of its children, those it has waited for."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    memory_peak: int = 0


class Watch:
    """Compares a running program with its limits.

    Args:
        container: the real path of the container's directory.
    """

    def __init__(self, limits: Limits, tree: Tree, container: str) -> None:
        self.exceeded = ""
        self.started = time.monotonic()
        self._limits = limits
        self._tree = tree
        self._container = container
        self._due = self.started + WATCH_S
        self._disk_due = self._due
        self._disk_before = disk_use(container, 1 << 62) if limits.disk else 0

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

    def last(self, signal_number: int) -> str:
        """Return the limit that ended the program, also if the kernel did it; empty if none did."""
        if not self.exceeded and signal_number:
            self.exceeded = {24: "cpu", 25: "disk"}.get(signal_number, "")  # SIGXCPU, SIGXFSZ
        if not self.exceeded and self._limits.disk and self._uses_disk():
            self.exceeded = "disk"
        return self.exceeded

    def _count(self) -> str:
        limits = self._limits
        if limits.memory or limits.cpu or limits.pids:
            pids = self._tree.members()
            if limits.pids and len(pids) > limits.pids:
                return "pids"
            memory, cpu_s = sums(pids)
            if limits.memory and memory > limits.memory:
                return "memory"
            if limits.cpu and cpu_s > limits.cpu:
                return "cpu"
        return "disk" if limits.disk and self._uses_disk() else ""

    def _uses_disk(self) -> bool:
        most = self._disk_before + self._limits.disk
        return disk_use(self._container, most) > most

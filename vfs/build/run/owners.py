"""Containers that belong to a process: their maker marks them, so that other processes can remove them.

A mark is a label `HOST:PID:START`. The start time distinguishes a process from a later one with the same number.
"""

from __future__ import annotations

import os
from pathlib import Path

from rootlay.store.containers.containers import Containers
from rootlay.store.model.errors import ContainerRunning
from rootlay.vfs.run.removal import remove_container

OWNER = "rootlay.owner"


def owner_mark() -> str:
    """Return the mark of this process."""
    return f"{os.uname().nodename}:{os.getpid()}:{_start_of(os.getpid())}"


def remove_ownerless(root: Path) -> int:
    """Remove the marked containers whose process has ended; of this machine only. Returns how many."""
    removed = 0
    for record in Containers(root).iter_all():
        mark = record.config.labels.get(OWNER)
        if mark is None:
            continue
        host, pid, start = mark.rsplit(":", 2)
        if host == os.uname().nodename and _start_of(int(pid)) != start:
            try:
                remove_container(record, force=True)
            except (ContainerRunning, FileNotFoundError):  # unkillable, or another process removes it
                continue
            removed += 1
    return removed


def _start_of(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; empty if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return ""
    return stat.rsplit(b")", 1)[1].split()[19].decode()

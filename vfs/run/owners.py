"""Containers that belong to a process: whoever makes one for its own use marks it, so that others can clear up.

A mark is a label `HOST:PID:START`, with the start time that tells a process from a later one of the same number.
"""

from __future__ import annotations

import os
from pathlib import Path

from rootlay.store.containers.containers import Containers
from rootlay.store.model.errors import ContainerRunning
from rootlay.vfs.run.removal import remove_container

OWNER = "rootlay.owner"


def owner_mark() -> str:
    """The mark of this process."""
    return f"{os.uname().nodename}:{os.getpid()}:{_start_of(os.getpid())}"


def remove_ownerless(root: Path) -> int:
    """Remove the marked containers whose process is gone; of this machine only. Returns how many."""
    removed = 0
    for record in Containers(root).iter_all():
        mark = record.config.labels.get(OWNER)
        if mark is None:
            continue
        host, pid, start = mark.rsplit(":", 2)
        if host == os.uname().nodename and _start_of(int(pid)) != start:
            try:
                remove_container(record, force=True)
            except (ContainerRunning, FileNotFoundError):  # unkillable, or somebody else clears up
                continue
            removed += 1
    return removed


def _start_of(pid: int) -> str:
    """When a process started, in clock ticks since boot; empty where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return ""
    return stat.rsplit(b")", 1)[1].split()[19].decode()

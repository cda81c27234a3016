"""A cgroup (version 2) for each container with limits, if the caller may make one.

Rules:
1. The place is below the caller's own cgroup, or below its parent: a cgroup with processes, such as that of a login
   session, cannot hand out controllers. It must be writable, as those that systemd delegates to users.
2. The cgroup is removed with the container's last program; a later start makes it again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from rootlay.store.containers.settings import Limits

MOUNT = Path("/sys/fs/cgroup")
PREFIX = "rootlay-"
PERIOD_US = 100_000


def cgroup_name(container_id: str) -> str:
    return f"{PREFIX}{container_id[:24]}"


def controllers_for(limits: Limits) -> frozenset[str]:
    """Return the controllers that the limits need."""
    needed = {"memory": limits.memory_bytes, "cpu": limits.cpus, "cpuset": limits.cpuset, "pids": limits.pids}
    return frozenset(name for name, limit in needed.items() if limit)


def find_parent(needed: frozenset[str], mount: Path = MOUNT, membership: str | None = None) -> Path | None:
    """Return the cgroup below which this process may make one with these controllers; None if there is none.

    Args:
        mount: where cgroup2 is mounted.
        membership: the text of /proc/self/cgroup.
    """
    if membership is None:
        with contextlib.suppress(OSError):
            membership = Path("/proc/self/cgroup").read_text(encoding="utf-8")
    for line in (membership or "").splitlines():
        if line.startswith("0::"):
            own = mount / line[3:].lstrip("/")
            for place in (own, own.parent) if own != mount else (own,):
                if _hands_out(place, needed):
                    return place
    return None


def _hands_out(place: Path, needed: frozenset[str]) -> bool:
    """Return whether a new cgroup below `place` can have the controllers, and a process of ours can go there."""
    if not (os.access(place, os.W_OK) and os.access(place / "cgroup.procs", os.W_OK)):
        return False
    try:
        enabled = set((place / "cgroup.subtree_control").read_text().split())
        if needed <= enabled:
            return True
        wanted = " ".join(f"+{name}" for name in sorted(needed - enabled))
        (place / "cgroup.subtree_control").write_text(wanted)  # EBUSY if processes are in it
    except OSError:
        return False
    return True


def make_cgroup(parent: Path, container_id: str, limits: Limits) -> Path:
    """Make the cgroup of a container, or use the one that it has, and set its limits.

    Raises:
        OSError: a value is refused.
    """
    place = parent / cgroup_name(container_id)
    with contextlib.suppress(FileExistsError):
        place.mkdir()
    for name, text in _values(limits):
        if (place / name).exists():
            (place / name).write_text(text)
    return place


def _values(limits: Limits) -> Iterator[tuple[str, str]]:
    yield "memory.max", str(limits.memory_bytes or "max")
    if limits.memory_swap_bytes > 0:
        yield "memory.swap.max", str(limits.memory_swap_bytes - limits.memory_bytes)
    else:
        yield (
            "memory.swap.max",
            "max" if limits.memory_swap_bytes or not limits.memory_bytes else str(limits.memory_bytes),
        )
    period = limits.cpu_period_us or PERIOD_US
    yield "cpu.max", f"{round(limits.cpus * period) if limits.cpus else 'max'} {period}"
    yield "cpuset.cpus", limits.cpuset
    yield "pids.max", str(limits.pids or "max")


def enter_cgroup(place: Path) -> None:
    """Move this process into a cgroup. Raises OSError."""
    (place / "cgroup.procs").write_text(str(os.getpid()))


def remove_cgroup(container_id: str) -> None:
    """Remove the cgroup of a container without processes, if it has one."""
    parent = find_parent(frozenset())
    if parent is not None:
        with contextlib.suppress(OSError):
            (parent / cgroup_name(container_id)).rmdir()

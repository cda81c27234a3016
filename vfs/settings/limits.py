"""Limits of a container's programs: by a cgroup if the caller may make one, else by what an ordinary user can set.

The substitutes, each weaker than a cgroup (docs/differences.md):
- memory: RLIMIT_DATA, the private writable memory of each single process.
- cpus: affinity to that many processors, rounded up.
- cpuset: affinity to these processors.
- pids: RLIMIT_NPROC, so many more processes of the user than there are at the start. It has no effect for root, who is
  refused.
"""

from __future__ import annotations

import math
import os
import resource
from collections.abc import Sequence
from pathlib import Path

from rootlay.store.containers.settings import Limits
from rootlay.store.model.errors import RootlayError
from rootlay.store.model.value import value
from rootlay.vfs.settings.cgroups import controllers_for, find_parent, make_cgroup


class LimitRefused(RootlayError):
    """A limit that cannot be set on this machine by this user."""

    exit_code = 74

    def __init__(self, option: str, reason: str) -> None:
        super().__init__(f"{option}: {reason}")
        self.option = option
        self.reason = reason


@value
class Plan:
    """How the limits of a container are set. `cgroup` is the directory below which it gets one."""

    limits: Limits
    cgroup: Path | None = None
    processors: tuple[int, ...] = ()


def plan_limits(limits: Limits, spread: int = 0) -> Plan:
    """Decide how to set limits, before anything starts.

    Args:
        spread: a number of the container, by which containers get different processors.

    Raises:
        LimitRefused: a limit cannot be set.
    """
    available = sorted(os.sched_getaffinity(0))
    chosen = parse_cpuset(limits.cpuset) if limits.cpuset else available
    if not set(chosen) <= set(available):
        shown = ",".join(map(str, available))
        raise LimitRefused(f"--cpuset-cpus={limits.cpuset}", f"this process may use the processors {shown} only")
    if limits.cpus > os.cpu_count():  # type: ignore[operator]  # known on Linux
        raise LimitRefused("--cpus", f"this machine has {os.cpu_count()} processors")
    parent = find_parent(controllers_for(limits))
    if parent is not None:
        return Plan(limits, parent)
    if limits.pids and os.geteuid() == 0:
        raise LimitRefused(
            f"--pids-limit={limits.pids}",
            "there is no cgroup with the pids controller to make one below, and no limit of processes holds for root; "
            "run as an ordinary user, or start rootlay in a delegated cgroup",
        )
    if limits.cpus:
        first = spread % len(chosen)
        chosen = [*chosen[first:], *chosen[:first]][: math.ceil(limits.cpus)]
    return Plan(limits, None, tuple(chosen) if limits.cpus or limits.cpuset else ())


def apply_plan(plan: Plan, container_id: str) -> None:
    """Set the limits for this process and its children. Raises OSError, ValueError."""
    limits = plan.limits
    if plan.cgroup is not None:
        from rootlay.vfs.settings.cgroups import enter_cgroup

        enter_cgroup(make_cgroup(plan.cgroup, container_id, limits))
        return
    if plan.processors:
        os.sched_setaffinity(0, plan.processors)
    if limits.memory_bytes:
        _lower(resource.RLIMIT_DATA, limits.memory_bytes)
    if limits.pids:
        _lower(resource.RLIMIT_NPROC, limits.pids + threads_of_user())


def _lower(kind: int, limit: int) -> None:
    hard = resource.getrlimit(kind)[1]
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(kind, (limit, limit))


def threads_of_user() -> int:
    """Return the number of threads that RLIMIT_NPROC counts now."""
    count = 0
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{entry}").st_uid == os.getuid():
                count += len(os.listdir(f"/proc/{entry}/task"))
        except OSError:  # ended
            continue
    return count


def parse_cpuset(text: str) -> list[int]:
    """Parse a list of processors such as `0-2,4`. Raises LimitRefused."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()) or len(first + last) > 8:
            raise LimitRefused(f"--cpuset-cpus={text[:40]}", "expected a list of processors, such as 0-2,4")
        found.update(range(int(first), int(last or first) + 1))
    return sorted(found)


def apply_to_running(plan: Plan, container_id: str, pids: Sequence[int]) -> list[str]:
    """Set limits of running programs, as far as that is possible. Returns the options that hold from the next start on.

    Raises:
        OSError: the cgroup refuses a value.
    """
    limits = plan.limits
    later: list[str] = []
    if plan.cgroup is not None:
        if pids:
            make_cgroup(plan.cgroup, container_id, limits)
        return later
    for pid in pids:
        try:
            if plan.processors:
                os.sched_setaffinity(pid, plan.processors)
            if limits.memory_bytes:
                resource.prlimit(pid, resource.RLIMIT_DATA, (limits.memory_bytes, limits.memory_bytes))
        except ProcessLookupError:
            continue
        except OSError:
            later = ["--memory"]
    if limits.pids and pids:
        later.append("--pids-limit")
    return later

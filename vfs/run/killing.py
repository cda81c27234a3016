"""Killing of all processes in a container, including programs that resist.

1. Process groups with only the container's processes are killed by group: for the kernel that is one step, during which
   no process forks.
2. Most containers have no other process. Then one look at all processes of the machine is enough: afterwards only those
   are asked that were born since. Those that were looked at become the container's only by a new start.
3. All others are stopped, and their limit of processes is set to 0, before the first of them is killed: a process that
   forks, or restarts a dead one, then fails. Other processes can continue a stopped one, but no process can raise the
   limit.
4. With thousands of runnable processes, each gets as much processor time as rootlay. So the processes of a storm must
   yield, and rootlay raises its own priority if it may.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

from rootlay.vfs.run.processes import (
    Moment,
    groups_of,
    has_younger_guests,
    is_guest,
    iter_guests,
    iter_members,
    list_members,
    signal_guest,
    still_guest,
)

_LOOKS_MAX = 20
_STORM = 64
"""This number of processes that keep running is a storm."""


def kill_guests(container_path: str, patience_s: float = 10.0) -> bool:
    """Kill every program. Returns False if some outlive the timeout."""
    deadline = time.monotonic() + patience_s
    with _first():
        if _kill_groups_alone(container_path):
            return True
        while next(iter_guests(container_path), None) is not None:
            _kill_groups(list_members(container_path))
            _still(container_path, deadline)
            for pid in iter_members(container_path):
                signal_guest(container_path, pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)
    return True


def _kill_groups_alone(container_path: str) -> bool:
    """Kill the process groups of the container's own, and return whether that was all, by rule 2."""
    began = Moment.now()
    members = list_members(container_path)
    if _kill_groups(members) != members:
        return False
    while began.is_near():
        if any(is_guest(container_path, pid) for pid in members):
            time.sleep(0.001)
        else:
            return not has_younger_guests(container_path, began.youngest)
    return False


def _kill_groups(members: set[int]) -> set[int]:
    """Kill the process groups that have only these processes. Returns the processes in them."""
    killed: set[int] = set()
    for group, found in groups_of(members).items():
        with contextlib.suppress(OSError):  # ended
            os.killpg(group, signal.SIGKILL)
        killed |= found
    return killed


def _still(container_path: str, deadline: float) -> None:
    """Stop all programs, until a scan finds only stopped ones."""
    stopped: set[int] = set()
    for _ in range(_LOOKS_MAX):
        moving = 0
        for pid in iter_members(container_path):
            if pid not in stopped and still_guest(container_path, pid, yields=len(stopped) > _STORM):
                stopped.add(pid)
                moving += 1
        if not moving or time.monotonic() > deadline:
            break


@contextlib.contextmanager
def _first() -> Iterator[None]:
    """Raise the priority of the calling thread above all other work, if permitted: as root."""
    try:
        policy, param = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except OSError:
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, param)

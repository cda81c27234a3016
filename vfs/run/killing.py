"""The end of all that runs in a container, of programs that resist, too.

1. What is alone in its process groups is killed by group: for the kernel that is one act, in which nobody forks.
2. All others are stopped, and their limit of processes is set to nothing, before the first of them is killed: whoever
   forks, or starts anew what has died, gets no further. Others can continue what is stopped; nobody raises the limit.
3. Of thousands of runnable processes each gets as much of a processor as we do. So those of a storm must yield, and we
   go first where we may.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

from rootlay.vfs.run.processes import groups_of_guests, iter_guests, iter_members, signal_guest, still_guest

_LOOKS_MAX = 20
_STORM = 64
"""So many processes that run on are a storm."""


def kill_guests(container_path: str, patience_s: float = 10.0) -> bool:
    """End every guest. Returns False when some outlive the patience."""
    deadline = time.monotonic() + patience_s
    with _first():
        while next(iter_guests(container_path), None) is not None:
            for group in groups_of_guests(container_path):
                with contextlib.suppress(OSError):  # gone
                    os.killpg(group, signal.SIGKILL)
            _still(container_path, deadline)
            for pid in iter_members(container_path):
                signal_guest(container_path, pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)
    return True


def _still(container_path: str, deadline: float) -> None:
    """Stop all guests, until a look finds none that was not stopped."""
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
    """The calling thread goes before all other work, where it may: as root."""
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

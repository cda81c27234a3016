"""Pause of a container: all its programs are stopped by SIGSTOP, and continued by SIGCONT.

The kernel says whether a container is paused: its main program is stopped. A program can be continued by others of its
user; there is no freezer without a cgroup.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator

from rootlay.store.containers.record import ContainerRecord
from rootlay.vfs.lifecycle.errors import AlreadyPaused, NotPaused, NotRunning
from rootlay.vfs.run.processes import iter_guests, signal_guest
from rootlay.vfs.run.status import is_running

_LOOKS_MAX = 20
STOPPED_S = 5.0
"""Time within which a program takes the signal, on a busy machine."""


def pause_container(record: ContainerRecord) -> None:
    """Stop all programs, until a scan finds no running one.

    Raises:
        NotRunning, AlreadyPaused: nothing was changed.
    """
    if not is_running(record):
        raise NotRunning(record.name)
    if is_paused(record):
        raise AlreadyPaused(record.name)
    stopped: set[int] = set()
    for _ in range(_LOOKS_MAX):
        moving = [pid for pid in iter_guests(record.real_path) if pid not in stopped]
        if not moving:
            break
        for pid in moving:
            signal_guest(record.real_path, pid, signal.SIGSTOP)
        stopped.update(moving)
    deadline = time.monotonic() + STOPPED_S
    while is_running(record) and not is_paused(record) and time.monotonic() < deadline:
        time.sleep(0.002)  # a program takes the signal when it gets a processor
    record.note("pause")


def unpause_container(record: ContainerRecord) -> None:
    """Continue all programs.

    Raises:
        NotRunning, NotPaused: nothing was changed.
    """
    if not is_running(record):
        raise NotRunning(record.name)
    if not is_paused(record):
        raise NotPaused(record.name)
    continue_programs(record)
    record.note("unpause")


def continue_programs(record: ContainerRecord) -> None:
    """Continue all programs of a container that are stopped."""
    for pid in iter_guests(record.real_path):
        signal_guest(record.real_path, pid, signal.SIGCONT)


@contextlib.contextmanager
def paused(record: ContainerRecord) -> Iterator[None]:
    """Pause a container, if it runs, while the block is executed."""
    try:
        pause_container(record)
        pauses = True
    except (NotRunning, AlreadyPaused):
        pauses = False
    try:
        yield
    finally:
        if pauses:
            continue_programs(record)
            record.note("unpause")


def is_paused(record: ContainerRecord) -> bool:
    """Return whether the main program of a running container is stopped."""
    with contextlib.suppress(OSError, IndexError), open(f"/proc/{record.state().pid}/stat", "rb") as stat:
        return stat.read().rsplit(b")", 1)[1].split()[0] == b"T"
    return False

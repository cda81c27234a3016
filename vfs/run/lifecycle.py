"""The end, and the pause, of a container's programs."""

from __future__ import annotations

import signal
import time

from rootlay.store.containers.record import ContainerRecord
from rootlay.store.model.errors import StillRunning
from rootlay.vfs.run.killing import kill_guests
from rootlay.vfs.run.processes import is_guest, iter_guests, signal_guest
from rootlay.vfs.run.signals import parse_signal

DEFAULT_PATIENCE_S = 10


def stop_container(
    record: ContainerRecord, *, patience_s: float | None = None, signal_number: int | None = None
) -> None:
    """Send the stop signal to the main program, and SIGKILL to all that is left of the container after the patience.

    Args:
        patience_s: in seconds; None: the container's own, or 10; negative: without limit.
        signal_number: None: the container's own, or SIGTERM.

    Raises:
        StillRunning: programs are left.
    """
    path, settings = record.real_path, record.config.settings
    if patience_s is None:
        patience_s = DEFAULT_PATIENCE_S if settings.stop_timeout_s is None else settings.stop_timeout_s
    number = signal_number or (parse_signal(settings.stop_signal) if settings.stop_signal else signal.SIGTERM)
    deadline = time.monotonic() + patience_s if patience_s >= 0 else float("inf")
    main = record.state().pid
    targets = {main} if is_guest(path, main) else set(iter_guests(path)) if patience_s else set()
    for pid in targets:
        signal_guest(path, pid, number)
        signal_guest(path, pid, signal.SIGCONT)
    while (targets := {pid for pid in targets if is_guest(path, pid)}) and time.monotonic() < deadline:
        time.sleep(0.02)
    if not kill_guests(path):
        raise StillRunning(record.name)
    settle(record)


def settle(record: ContainerRecord, patience_s: float = 2.0) -> None:
    """Wait until the end of a main program that was killed is recorded."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        state = record.state()
        if state.finished_ns or not state.started_ns or not record.path.exists():
            return
        time.sleep(0.005)


def kill_container(record: ContainerRecord, number: int) -> None:
    """Send a signal to the main program; SIGKILL to all programs. Raises StillRunning."""
    if number != signal.SIGKILL:
        signal_guest(record.real_path, record.state().pid, number)
    elif not kill_guests(record.real_path):
        raise StillRunning(record.name)
    else:
        settle(record)


def pause_container(record: ContainerRecord) -> None:
    """Stop all programs, until `unpause_container`."""
    for pid in iter_guests(record.real_path):
        signal_guest(record.real_path, pid, signal.SIGSTOP)


def unpause_container(record: ContainerRecord) -> None:
    """Continue all programs."""
    for pid in iter_guests(record.real_path):
        signal_guest(record.real_path, pid, signal.SIGCONT)

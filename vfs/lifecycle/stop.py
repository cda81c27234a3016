"""End of a container's programs: stop, kill, restart, and the wait for it."""

from __future__ import annotations

import signal
import time

from rootlay.store.containers.record import ContainerRecord
from rootlay.store.model.errors import StillRunning
from rootlay.vfs.lifecycle.errors import NotRunning
from rootlay.vfs.lifecycle.pause import continue_programs, is_paused
from rootlay.vfs.lifecycle.start import start_container
from rootlay.vfs.run.containerlog import has_writer
from rootlay.vfs.run.killing import kill_guests
from rootlay.vfs.run.processes import is_guest, iter_guests, signal_guest
from rootlay.vfs.run.status import EndWait, is_running
from rootlay.vfs.settings.signals import parse_signal

PATIENCE_S = 10
RECORDED_S = 2.0
"""Time within which the end of a program that was killed is recorded."""


def stop_container(
    record: ContainerRecord, *, patience_s: float | None = None, signal_number: int | None = None
) -> None:
    """Send the stop signal to the main program, and SIGKILL to all that is left of the container after the patience.
    Its restart policy does not start it again.

    Args:
        patience_s: None for the container's own, or 10; negative for no limit.
        signal_number: None for the container's own, or SIGTERM.

    Raises:
        StillRunning: programs cannot be killed.
    """
    settings = record.config.settings
    if patience_s is None:
        patience_s = PATIENCE_S if settings.stop_timeout_s is None else settings.stop_timeout_s
    if signal_number is None:
        signal_number = parse_signal(settings.stop_signal) if settings.stop_signal else signal.SIGTERM
    path, main = record.real_path, record.state().pid
    record.stop_mark.touch()
    deadline = None if patience_s < 0 else time.monotonic() + patience_s
    targets = {main} if is_guest(path, main) else set(iter_guests(path)) if patience_s else set()
    paused = main in targets and is_paused(record)
    if main in targets:
        record.note("kill", signal=str(signal_number))
    for pid in targets:
        signal_guest(path, pid, signal_number)
    if paused:
        continue_programs(record)
    ended = frozenset(targets)
    while targets := {pid for pid in targets if is_guest(path, pid)}:
        if deadline is not None and time.monotonic() >= deadline:
            break
        time.sleep(0.02)
    if not kill_guests(path):
        raise StillRunning(record.name)
    await_end(record)
    if main in ended:
        record.note("stop")


def kill_container(record: ContainerRecord, signal_number: int = signal.SIGKILL) -> None:
    """Send a signal to the main program; for SIGKILL, end all programs of the container.

    Its restart policy does not start it again, unless the container has a stop signal and this is another one.

    Raises:
        NotRunning: nothing was sent.
        StillRunning: programs cannot be killed.
    """
    state = record.state()
    if not is_running(record, state):
        raise NotRunning(record.name)
    own = record.config.settings.stop_signal
    if not own or signal_number in (signal.SIGKILL, parse_signal(own)):
        record.stop_mark.touch()
    record.note("kill", signal=str(int(signal_number)))
    if signal_number != signal.SIGKILL:
        signal_guest(record.real_path, state.pid, signal_number)
    elif not kill_guests(record.real_path):
        raise StillRunning(record.name)
    else:
        await_end(record)


def restart_container(
    record: ContainerRecord, *, patience_s: float | None = None, signal_number: int | None = None
) -> int:
    """Stop a container if it runs, and start it. Arguments and errors as `stop_container` and `start_container`.

    Returns the pid of the new main program.
    """
    if is_running(record) or record.state().restarting:
        stop_container(record, patience_s=patience_s, signal_number=signal_number)
    pid = start_container(record)
    record.note("restart")
    return pid


def wait_container(record: ContainerRecord) -> int:
    """Wait until the main program does not run, and return its exit code."""
    wait = EndWait(record)
    try:
        return wait.not_running(lambda: False)
    finally:
        wait.close()


def await_end(record: ContainerRecord) -> None:
    """Wait a moment until the monitor has recorded the end of a program that was just killed."""
    deadline = time.monotonic() + RECORDED_S
    while time.monotonic() < deadline and record.path.exists():
        state = record.state()
        if not state.started_ns or (state.finished_ns and not state.restarting):
            return
        if state.monitor and not has_writer(record):
            return  # it and its heir were killed: nothing will be recorded
        time.sleep(0.005)

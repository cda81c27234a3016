"""Whether the main program of a container runs, and waiting for its end.

Rules:
1. The kernel answers (rootlay.vfs.run.processes); the record only says which process it is, and how it has ended.
2. The process that waits for the program records its end a moment after it, and sends the exit code to the FIFOs
   `wait-…` of the container's directory. A reader gets it even if the container is removed at once.
3. If that process was killed, no one records the end: then the program counts as killed.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable

from rootlay.store.containers.record import WAIT_PREFIX, ContainerRecord, ContainerState
from rootlay.vfs.run.containerlog import has_writer
from rootlay.vfs.run.processes import is_guest
from rootlay.vfs.run.watching import Watch

UNKNOWN_END = 137
"""The exit code of a program whose end no process has seen: that of SIGKILL."""
SETTLE_S = 0.5
"""Time that the end of a program may take to be recorded."""
_ASK_S = 0.25


def is_running(record: ContainerRecord, state: ContainerState | None = None) -> bool:
    """Return whether the main program runs. `state`: the record's, if the caller has read it."""
    state = record.state() if state is None else state
    return bool(state.started_ns) and not state.finished_ns and is_guest(record.real_path, state.pid)


def is_restarting(record: ContainerRecord, state: ContainerState) -> bool:
    """Return whether a living monitor waits to start the main program again."""
    return state.restarting and has_writer(record)


def end_of(record: ContainerRecord, started_ns: int) -> ContainerState | None:
    """Return the state after the end of the program that started at this time; None while it runs.

    Returns a state with UNKNOWN_END if no process has recorded the end.
    """
    deadline = time.monotonic() + SETTLE_S
    while True:
        state = record.state()
        if state.started_ns != started_ns or state.finished_ns:
            return state
        if is_running(record, state):  # also a program that has just been forked, and gets its mark now
            return None
        if not record.path.exists() or not (time.monotonic() < deadline or has_writer(record)):
            break
        time.sleep(0.005)
    return ContainerState(state.pid, started_ns, time.time_ns(), UNKNOWN_END, "", state.machine)


class EndWait:
    """A wait for the end of the main program. It sees every end from its making on. Close it."""

    def __init__(self, record: ContainerRecord) -> None:
        self._record = record
        self._path = record.path / f"{WAIT_PREFIX}{os.getpid()}-{os.urandom(3).hex()}"
        self._fd = -1
        while self._fd < 0:
            os.mkfifo(self._path, 0o600)
            with contextlib.suppress(FileNotFoundError):  # a program has ended just now, and removed it
                self._fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._state = record.state()
        self._running = is_running(record, self._state) or is_restarting(record, self._state)

    def not_running(self, stop: Callable[[], bool]) -> int:
        """Wait until the program does not run, and return its exit code; 0 if it never ran.

        Args:
            stop: asked again and again; true ends the wait.
        """
        if not self._running:
            state = end_of(self._record, self._state.started_ns) if self._state.started_ns else None
            return (state.exit_code if state is not None else 0) or 0
        return self.next_exit(stop)

    def next_exit(self, stop: Callable[[], bool]) -> int:
        """Wait for the next end, also of a program that has yet to start. Arguments and result as `not_running`."""
        started = self._state.started_ns if self._running else 0
        while not stop() and self._record.path.exists():
            if self._read_within(_ASK_S) is not None:
                break
            if not started:
                state = self._record.state()
                started = state.started_ns if state.started_ns != self._state.started_ns else 0
            elif (state := self._record.state()) and not state.finished_ns and not is_running(self._record, state):
                end = end_of(self._record, started)  # rule 3
                if end is not None and end.exit_code is not None:
                    return end.exit_code
        self._read_within(0)  # of a container that was removed at its end
        return self._code

    def removed(self, stop: Callable[[], bool]) -> int:
        """Wait until the container is removed. Arguments and result as `not_running`."""
        self._code = self._state.exit_code or 0
        config = self._record.path / "config.json"
        with Watch([self._record.path.parent]) as watch:
            with contextlib.suppress(OSError):
                watch.add(self._record.path)
            while config.exists() and not stop():
                watch.wait(_ASK_S)
        self._read_within(0)
        return self._code

    _code = 0

    def _read_within(self, timeout_s: float) -> int | None:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        if poll.poll(timeout_s * 1000):
            with contextlib.suppress(BlockingIOError):
                text = os.read(self._fd, 64)
                if text:
                    self._code = int(text)
                    return self._code
        return None

    def close(self) -> None:
        """Release it. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._path.unlink(missing_ok=True)

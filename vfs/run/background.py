"""Detached main programs: a separate monitor process relays the program's streams and waits for it.

Output goes to the container's log (rootlay.vfs.run.containerlog). Input comes from the clients of the container's
attach socket, if the container has an input.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import time
from typing import TYPE_CHECKING

from rootlay.store.containers.record import ContainerRecord, ContainerState
from rootlay.store.model.errors import RootlayError
from rootlay.store.model.value import replace
from rootlay.vfs.run.containerlog import STDERR, LogWriter
from rootlay.vfs.run.descriptors import close_others, open_null
from rootlay.vfs.run.foreground import Supervision, exit_code, finish_state, note_end, spawn
from rootlay.vfs.run.hydrator import fork_hydrator
from rootlay.vfs.run.program import Program
from rootlay.vfs.run.relay import Emit, Relay, Streams
from rootlay.vfs.run.session import Session, listen_at

if TYPE_CHECKING:
    import socket

ENGINE_TROUBLE = 125


class NotStarted(RootlayError):
    """A program did not start. `run_code`: 127: not found, 126: it cannot be executed, 125: another reason."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.run_code = code


def run_background(
    session: Session, program: Program, *, tty: bool, on_exit: str = "", supervision: Supervision | None = None
) -> int:
    """Start the program and return its pid as soon as it runs. The caller must be single-threaded.

    The monitor is a grandchild in a separate session; it records the exit code, and removes the container when
    `on_exit` is "remove". Output goes to the container's log, appended; with `tty` through a pseudo-terminal.

    Raises NotStarted; the exit code is recorded in that case too.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child:
        os.close(write_end)
        if session.listener:
            session.listener.close()
        os.waitpid(child, 0)
        with open(read_end, "rb") as pipe:
            return result_of(pipe.read())
    try:
        os.close(read_end)
        os.setsid()
        if os.fork() == 0:
            _Monitor(session, program, tty, supervision or Supervision(), write_end).run(on_exit)
    finally:
        os._exit(0)


def result_of(said: bytes) -> int:
    """Return the pid from the monitor's text, which has it, or an exit code and a message. Raises NotStarted."""
    first, _, message = said.partition(b"\n")
    if not message and first.isdigit():
        return int(first)
    code, text = (int(first), message.decode("utf-8", "replace")) if first.isdigit() else (ENGINE_TROUBLE, "")
    raise NotStarted(text.removeprefix("rootlay: ").strip() or "the program cannot be started", code)


class _Monitor:
    """The process that relays a program's streams, waits for it, and starts it again."""

    def __init__(self, session: Session, program: Program, tty: bool, supervision: Supervision, report: int) -> None:
        self._session = session
        self._record = session.record
        self._program = program
        self._tty = tty
        self._supervision = supervision
        self._report = report
        self._restarts = 0

    def run(self, on_exit: str) -> None:
        """Do everything until the program has ended for good."""
        null = open_null()
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        hydrator = fork_hydrator(self._session)
        _close_others({self._report, hydrator.lifeline})
        log = LogWriter(self._record)

        def emit(stream: int, data: bytes) -> None:
            with contextlib.suppress(OSError):  # a full disk must not end the program
                if self._record.config.extra.get("log") != "none":
                    log.write(stream, time.time_ns(), data)

        listener = _listen(self._record) if self._record.config.stdin else None
        while True:
            relay, code, trouble = self._run_once(emit, listener)
            if trouble or not self._goes_on(code):
                break
            relay.close()
        emit(STDERR, self._session.trouble())
        if listener is not None:
            self._record.attach_socket.unlink(missing_ok=True)
        finish_state(self._record, code)
        hydrator.release()
        if on_exit == "remove":
            from rootlay.vfs.run.removal import remove_container

            remove_container(self._record, force=True, volumes=True)
        if trouble:
            self._tell(b"%d\n%b" % (code, trouble))
        relay.until_closed()

    def _run_once(self, emit: Emit, listener: socket.socket | None) -> tuple[Relay, int, bytes]:
        """Run the program to its end. Returns its relay, its exit code, and why it did not start."""
        config = self._record.config
        streams = Streams(tty=self._tty, stdin=config.stdin)
        relay = Relay(streams, emit, listener=listener, once=config.stdin_once)
        heard, told = os.pipe()
        with streams.in_place():
            pid = spawn(self._session, self._program, stdin=True, new_session=True, report=told)
        os.close(told)
        begun = replace(ContainerState.of_start(pid), monitor=os.getpid(), restarts=self._restarts)
        self._record.write_state(begun)
        with open(heard, "rb") as pipe:
            said = pipe.read()
        trouble = bool(said) and not said.endswith(b"\n")  # the exit code is written last
        if trouble:
            relay.silence()  # the caller gets the engine's own words as an error
        else:
            self._record.note("start", begun.started_ns)
            self._tell(str(pid).encode())
            self._supervision.begin(self._session)
        code = exit_code(relay.run(pid, self._supervision.turn))
        self._supervision.end()
        return relay, code, said[:-1] if trouble else b""

    def _goes_on(self, code: int) -> bool:
        """Return whether the program is to be started again, after the wait for that."""
        state = self._record.state()
        now = time.time_ns()
        waiting = replace(state, finished_ns=now, exit_code=code, restarting=True)
        goes_on = self._supervision.wait_for_restart(code, now - state.started_ns, lambda: self._announce(waiting))
        self._restarts += goes_on
        return goes_on

    def _announce(self, waiting: ContainerState) -> None:
        self._record.write_state(waiting)
        note_end(self._record, waiting)

    def _tell(self, text: bytes) -> None:
        """Tell the caller of `run_background`, once."""
        if self._report >= 0:
            os.write(self._report, text)
            os.close(self._report)
            self._report = -1


def _listen(record: ContainerRecord) -> socket.socket:
    import socket

    return socket.socket(fileno=listen_at(record.attach_socket).detach())


def _close_others(keep: set[int]) -> None:
    """Close the caller's descriptors, such as its clients' connections. The objects that have them stay as they are:
    none may close a descriptor that has got its number since."""
    gc.freeze()
    close_others(keep)

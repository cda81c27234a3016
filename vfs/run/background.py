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
from rootlay.vfs.run.containerlog import STDERR, LogWriter
from rootlay.vfs.run.foreground import MAX_FD, exit_code, finish_state, spawn
from rootlay.vfs.run.hydrator import fork_hydrator
from rootlay.vfs.run.program import Program
from rootlay.vfs.run.relay import Relay, Streams
from rootlay.vfs.run.session import Session, listen_at

if TYPE_CHECKING:
    import socket

ENGINE_TROUBLE = 125


class NotStarted(RootlayError):
    """A program did not start. `run_code`: 127: not found, 126: it cannot be executed, 125: another reason."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.run_code = code


def run_background(session: Session, program: Program, *, tty: bool, on_exit: str = "") -> int:
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
            _monitor(session, program, tty, on_exit, write_end)
    finally:
        os._exit(0)


def result_of(said: bytes) -> int:
    """Return the pid from the monitor's text, which has it, or an exit code and a message. Raises NotStarted."""
    first, _, message = said.partition(b"\n")
    if not message and first.isdigit():
        return int(first)
    code, text = (int(first), message.decode("utf-8", "replace")) if first.isdigit() else (ENGINE_TROUBLE, "")
    raise NotStarted(text.removeprefix("rootlay: ").strip() or "the program cannot be started", code)


def _monitor(session: Session, program: Program, tty: bool, on_exit: str, report: int) -> None:
    record = session.record
    null = os.open(os.devnull, os.O_RDWR)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    hydrator = fork_hydrator(session)
    _close_others({report, hydrator.lifeline})
    log = LogWriter(record)

    def emit(stream: int, data: bytes) -> None:
        with contextlib.suppress(OSError):  # a full disk must not end the program
            log.write(stream, time.time_ns(), data)

    listener = _listen(record) if record.config.stdin else None
    streams = Streams(tty=tty, stdin=record.config.stdin)
    relay = Relay(streams, emit, listener=listener, once=record.config.stdin_once)
    heard, told = os.pipe()
    with streams.in_place():
        pid = spawn(session, program, stdin=True, new_session=True, report=told)
    os.close(told)
    record.write_state(ContainerState.of_start(pid))
    with open(heard, "rb") as pipe:
        said = pipe.read()
    trouble = bool(said) and not said.endswith(b"\n")  # the exit code is written last
    if not trouble:
        os.write(report, str(pid).encode())
        os.close(report)
    code = exit_code(relay.run(pid))
    emit(STDERR, session.trouble())
    if listener is not None:
        record.attach_socket.unlink(missing_ok=True)
    finish_state(record, code)
    hydrator.release()
    if on_exit == "remove":
        from rootlay.vfs.run.removal import remove_container

        remove_container(record, force=True, volumes=True)
    if trouble:
        os.write(report, b"%d\n%b" % (code, said[:-1]))
        os.close(report)
    relay.until_closed()


def _listen(record: ContainerRecord) -> socket.socket:
    import socket

    return socket.socket(fileno=listen_at(record.attach_socket).detach())


def _close_others(keep: set[int]) -> None:
    """Close the caller's descriptors, such as its clients' connections. The objects that have them stay as they are:
    none may close a descriptor that has got its number since."""
    gc.freeze()
    low = 3
    for fd in sorted(keep):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, MAX_FD)

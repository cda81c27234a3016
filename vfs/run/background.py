"""Detached main programs: a separate monitor process waits for the program, and a file receives its output."""

from __future__ import annotations

import os
import signal

from rootlay.store.containers.record import ContainerState
from rootlay.store.model.errors import RootlayError
from rootlay.vfs.run.descriptors import open_null
from rootlay.vfs.run.foreground import exit_code, finish_state, spawn
from rootlay.vfs.run.hydrator import fork_hydrator
from rootlay.vfs.run.program import Program
from rootlay.vfs.run.session import Session
from rootlay.vfs.run.terminal import open_terminal, relay

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
            return _result(pipe.read())
    try:
        os.close(read_end)
        os.setsid()
        if os.fork() == 0:
            _monitor(session, program, tty, on_exit, write_end)
    finally:
        os._exit(0)


def _result(said: bytes) -> int:
    """Return the pid from the monitor's text, which has it, or an exit code and a message."""
    first, _, message = said.partition(b"\n")
    if not message and first.isdigit():
        return int(first)
    code, text = (int(first), message.decode("utf-8", "replace")) if first.isdigit() else (ENGINE_TROUBLE, "")
    raise NotStarted(text.removeprefix("rootlay: ").strip() or "the program cannot be started", code)


def _monitor(session: Session, program: Program, tty: bool, on_exit: str, report: int) -> None:
    log = os.open(session.record.log, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    null = open_null()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    hydrator = fork_hydrator(session)
    heard, told = os.pipe()
    if tty:
        main, terminal = open_terminal()
        for fd in (0, 1, 2):
            os.dup2(terminal, fd)
    pid = spawn(session, program, stdin=True, new_session=True, report=told)
    os.close(told)
    if tty:
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.close(terminal)
    session.record.write_state(ContainerState.of_start(pid))
    with open(heard, "rb") as pipe:
        said = pipe.read()
    trouble = bool(said) and not said.endswith(b"\n")  # the exit code is written last
    if not trouble:
        os.write(report, str(pid).encode())
        os.close(report)
    if tty:
        relay(main, log, None)
    _, status = os.waitpid(pid, 0)
    session.tell_trouble()
    finish_state(session.record, exit_code(status))
    hydrator.release()
    if on_exit == "remove":
        from rootlay.vfs.run.removal import remove_container

        remove_container(session.record, force=True)
    if trouble:
        os.write(report, b"%d\n%b" % (exit_code(status), said[:-1]))

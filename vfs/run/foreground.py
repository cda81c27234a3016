"""Programs in the foreground: descriptors and terminal are the caller's own; signals and exit code are Docker's."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable

from rootlay.store.containers.record import ContainerRecord, ContainerState
from rootlay.store.model.value import replace
from rootlay.vfs.run.descriptors import close_others, open_null
from rootlay.vfs.run.hydrator import fork_hydrator
from rootlay.vfs.run.program import Program
from rootlay.vfs.run.session import Session

FORWARDED = frozenset(
    {
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGHUP,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGWINCH,
        signal.SIGALRM,
    }
)
FIRST_OTHER_FD = 3  # a program inside gets standard input, output and error, and no other open descriptor
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def run_foreground(session: Session, program: Program, *, stdin: bool, record_state: bool) -> int:
    """Start the program, wait for it, and return its exit code (128 + n when signal n killed it).

    Args:
        stdin: pass the caller's standard input; otherwise the program reads /dev/null.
        record_state: this is the container's main program: keep its pid and exit code.
    """
    hydrator = fork_hydrator(session)
    waited = FORWARDED | {signal.SIGCHLD}
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    pid = spawn(session, program, stdin=stdin, mask=previous)
    if record_state:
        session.record.write_state(ContainerState.of_start(pid))
    try:
        code = _wait(pid, waited)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
        session.tell_trouble()
        hydrator.release()
    if record_state:
        finish_state(session.record, code)
    return code


def spawn(
    session: Session,
    program: Program,
    *,
    stdin: bool,
    mask: Iterable[int] | None = None,
    new_session: bool = False,
    report: int = -1,
) -> int:
    """Fork and become the program. Returns its pid.

    Args:
        new_session: start a session, with the terminal on fd 0, if any, as its terminal.
        report: the write end of a pipe. The engine writes there why the program has not started, and closes it after a
            start.
    """
    command = session.command(program.argv, program.cwd, program.identity, reports=report >= 0)
    environment = {os.fsencode(name): os.fsencode(value) for name, value in program.env.items()}
    pid = os.fork()
    if pid:
        return pid
    try:
        if new_session:
            os.setsid()
            _take_terminal()
        if not stdin:
            os.dup2(open_null(), 0)
        for number in IGNORED_BY_PYTHON:
            signal.signal(number, signal.SIG_DFL)
        if report >= 0:
            os.dup2(report, FIRST_OTHER_FD)
            os.set_inheritable(FIRST_OTHER_FD, True)
        close_others((FIRST_OTHER_FD,) if report >= 0 else ())
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.execve(command[0], command, environment)
    except OSError as error:  # E2BIG is about the program's arguments and environment
        said = f"rootlay: cannot start the engine: {error.strerror}\n".encode()
        os.write(2, said)
        if report >= 0:
            os.write(FIRST_OTHER_FD, said + bytes((125,)))
    finally:
        os._exit(125)


def finish_state(record: ContainerRecord, code: int) -> None:
    record.write_state(replace(record.state(), finished_ns=time.time_ns(), exit_code=code))


def exit_code(status: int) -> int:
    """Return Docker's exit code of a wait status."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _wait(pid: int, waited: frozenset[signal.Signals]) -> int:
    """Wait for the child and pass signals on.

    A signal that the terminal sent (si_code > 0) went to the whole foreground process group, the child included:
    passing it on would deliver it twice.
    """
    while True:
        info = signal.sigwaitinfo(waited)
        if info.si_signo == signal.SIGCHLD:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return exit_code(status)
        elif info.si_code <= 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, info.si_signo)


def _take_terminal() -> None:
    import fcntl
    import termios

    if os.isatty(0):
        with contextlib.suppress(OSError):
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

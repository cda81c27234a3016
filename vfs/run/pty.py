"""Programs on a pseudo-terminal whose output is relayed: for `-t` if standard output is not a terminal."""

from __future__ import annotations

import os

from rootlay.store.containers.record import ContainerState
from rootlay.vfs.run.foreground import exit_code, finish_state, spawn
from rootlay.vfs.run.hydrator import fork_hydrator
from rootlay.vfs.run.program import Program
from rootlay.vfs.run.session import Session
from rootlay.vfs.run.terminal import open_terminal, relay


def run_in_pty(session: Session, program: Program) -> int:
    """Start the program on a new terminal, copy its output to descriptor 1, and return its exit code."""
    hydrator = fork_hydrator(session)
    main, terminal = open_terminal()
    saved = [os.dup(fd) for fd in (0, 1, 2)]
    for fd in (0, 1, 2):
        os.dup2(terminal, fd)
    try:
        pid = spawn(session, program, stdin=True, new_session=True)
    finally:
        for fd, old in enumerate(saved):
            os.dup2(old, fd)
            os.close(old)
        os.close(terminal)
    session.record.write_state(ContainerState.of_start(pid))
    relay(main, 1, None)
    _, status = os.waitpid(pid, 0)
    session.tell_trouble()
    hydrator.release()
    code = exit_code(status)
    finish_state(session.record, code)
    return code

"""Job control of bash on a real terminal: `rootlay run -it`."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

from tests.native.terminal import Session
from tests.programs.conftest import Machine

WINDOW = (41, 132)


@contextmanager
def bash(machine: Machine) -> Iterator[Session]:
    """bash in a throw-away container; it must end with code 0."""
    command = [sys.executable, "-m", "rootlay.cli.main", "run", "-it", "--rm", "-e", "PS1=$ ", "-e", "TERM=dumb"]
    command += ["image", "bash", "--norc", "--noediting"]
    pid, master = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # tests in the background have it ignored, and bash keeps that
        os.execve(command[0], command, {**os.environ, "ROOTLAY_ROOT": str(machine.rootlay.root)})
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", *WINDOW, 0, 0))
    session = Session(master)
    try:
        session.expect(b"$ ")
        yield session
        session.type(b"exit 0\n")
        session.drain()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        os.close(master)


def test_stop_background_foreground_and_interrupt(debian: Machine) -> None:
    # Times that nobody else sleeps.
    stopped, interrupted = f"400.{os.getpid()}", f"500.{os.getpid()}"
    with bash(debian) as session:
        session.type(b"cat | sed s/one/two/; echo code-$?\n")
        session.settle("sed", "s/one/two/")
        session.type(b"one\n")
        session.expect(b"two\r\n")
        session.type(b"\x1a")
        session.expect(b"Stopped")
        session.expect(b"$ ")
        session.type(b"jobs -p | wc -l\n")
        session.expect(b"1\r\n")
        session.type(b"fg\n")
        session.settle("sed", "s/one/two/")
        session.type(b"one\n")
        session.expect(b"two\r\n")
        session.type(b"\x04")
        session.expect(b"$ ")
        session.type(b"sleep 300 &\n")
        session.expect(b"$ ")
        session.type(f"sleep {stopped}\n".encode())
        session.settle("sleep", stopped)
        session.type(b"\x1a")
        session.expect(b"Stopped")
        session.type(b"bg %2; jobs -r | wc -l\n")
        session.expect(b"2\r\n")
        session.type(f"kill %1 %2; wait; jobs | wc -l; sleep {interrupted}\n".encode())
        session.expect(b"0\r\n")
        session.settle("sleep", interrupted)
        session.type(b"\x03")
        session.expect(b"^C")
        session.expect(b"$ ")
        session.type(b"echo ended-$?\n")
        session.expect(b"ended-130")


def test_window_and_its_changes(debian: Machine) -> None:
    with bash(debian) as session:
        session.type(b"stty size; tty\n")
        session.expect(b"41 132\r\n")
        session.expect(b"/dev/pts/")
        session.type(b"trap 'echo changed $(stty size)' WINCH; sleep 30 & wait\n")
        session.settle()
        fcntl.ioctl(session.master, termios.TIOCSWINSZ, struct.pack("HHHH", 22, 33, 0, 0))
        session.expect(b"changed 22 33")
        session.type(b"kill %1\n")

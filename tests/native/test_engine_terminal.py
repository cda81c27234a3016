"""The terminal: job control, interrupts, window size, through a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.native.guest import Guest, guard
from tests.native.terminal import Session


@contextmanager
def shell(guest: Guest) -> Iterator[Session]:
    """An interactive shell in `guest`."""
    env = {"PATH": "/usr/bin:/bin", "PS1": "> ", "TERM": "dumb"}
    command = [*guard(guest), str(guest.engine), "--run", str(guest.launch), "0:0:022:", "/", "/bin/sh", "-i"]
    pid, master = pty.fork()
    if pid == 0:
        for number in (signal.SIGINT, signal.SIGQUIT):  # whoever starts the tests in the background ignores them
            signal.signal(number, signal.SIG_DFL)
        os.execve(command[0], command, env)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    try:
        yield Session(master)
    finally:
        os.close(master)
        os.waitpid(pid, 0)


@pytest.fixture(autouse=True)
def _needs_busybox(programs: Path) -> None:
    if not (programs / "bin" / "busybox").exists():
        pytest.skip("busybox (static) is not installed")


def test_interrupt_reaches_the_foreground_program_only(guest: Guest) -> None:
    with shell(guest) as session:
        session.expect(b"> ")
        session.type(b"sleep 100\n")
        session.settle("sleep", "100")
        session.type(b"\x03")
        session.type(b"echo code=$?\n")
        session.expect(b"code=130")
        session.type(b"exit\n")


def test_stop_and_continue(guest: Guest) -> None:
    with shell(guest) as session:
        session.expect(b"> ")
        session.type(b"cat\n")
        session.settle("cat")  # the shell has given the terminal back its line mode by then
        session.type(b"one\n")
        session.expect(b"one\r\none\r\n")
        session.type(b"\x1a")
        session.expect(b"> ")
        session.type(b"jobs\n")
        session.expect(b"Stopped")
        session.type(b"fg\n")
        session.settle("cat")
        session.type(b"two\n")
        session.expect(b"two\r\ntwo\r\n")
        session.type(b"\x04")
        session.type(b"exit\n")


def test_window_size(guest: Guest) -> None:
    with shell(guest) as session:
        session.expect(b"> ")
        session.type(b"busybox stty size\n")
        session.expect(b"33 77")
        session.type(b"exit\n")

"""`exec -it` on a terminal: the program gets a terminal of its own, so that the user can leave it.

A process in the background relays between the two, and continues after the detach keys.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket

from rootlay.cli.container.attaching import detach_keys, passing_on
from rootlay.store.disk.smallfile import write_all
from rootlay.store.model.errors import RootlayError
from rootlay.vfs.run.attachment import KeysSeen
from rootlay.vfs.run.descriptors import open_null
from rootlay.vfs.run.execs import Exec, create_exec, find_exec, run_exec
from rootlay.vfs.run.program import NotStarted, Program, result_of
from rootlay.vfs.run.session import Session
from rootlay.vfs.run.terminal import terminal_size

_READ_BYTES = 1 << 16


def run_on_terminal(session: Session, program: Program, keys: str | None) -> int:
    """Run a program in a container, and return its exit code; 0 if it continues after the detach keys.

    Raises UsageError, NotStarted.
    """
    seen = KeysSeen(detach_keys(keys))
    record = session.record
    made = create_exec(record, Exec("", program.argv, tty=True, stdin=True, detach_keys=keys or ""))
    client, server = socket.socketpair()
    heard, told = os.pipe()
    if os.fork() == 0:
        try:
            os.close(heard)
            client.close()
            _serve(session, program, made, server, told)
        finally:
            os._exit(0)
    server.close()
    os.close(told)
    if session.listener:
        session.listener.close()

    def pid() -> int:
        with contextlib.suppress(RootlayError):
            return find_exec(record.root, made.id)[1].pid
        return 0

    with client, open(heard, "rb") as result:
        with passing_on(record, pid, signals=True, raw=True):
            ended = _relay(client, seen)
        return result_of(result.read()) if ended else 0


def _serve(session: Session, program: Program, made: Exec, server: socket.socket, told: int) -> None:
    """Run the program, and tell its exit code and what the engine says."""
    size = terminal_size()
    os.setsid()
    null = open_null()
    for fd in (0, 1, 2):
        os.dup2(null, fd)

    def emit(stream: int, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the client has left
            server.sendall(data)

    try:
        said = b"%d" % run_exec(session, program, made, emit, client=server, size=size)
    except NotStarted as error:
        said = b"%d\n%b" % (error.run_code, str(error).encode())
    os.write(told, said)


def _relay(client: socket.socket, seen: KeysSeen) -> bool:
    """Relay until the program has ended; return False if the user has left before. Input waits for the program, and
    output never for input.
    """
    client.setblocking(False)
    pending, typing = b"", True
    while True:
        poll = select.poll()
        poll.register(client, select.POLLIN | (select.POLLOUT if pending else 0))
        if typing and not pending:
            poll.register(0, select.POLLIN)
        ready = {fd for fd, _ in poll.poll()}
        try:
            if pending:
                pending = pending[client.send(pending) :]
        except BlockingIOError:
            pass
        except OSError:  # the program has ended: its output follows
            pending, typing = b"", False
        if 0 in ready:
            try:
                data = os.read(0, _READ_BYTES)
            except OSError:  # the terminal is gone
                data = b""
            typing = bool(data)
            pending, detached = seen.without(data)
            if detached:
                with contextlib.suppress(OSError):
                    client.send(pending)
                return False
        try:
            output = client.recv(_READ_BYTES)
        except BlockingIOError:
            continue
        except OSError:
            return True
        if not output:
            return True
        write_all(1, output)

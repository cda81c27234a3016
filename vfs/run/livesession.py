"""A session that this process keeps open, with the hydrator process that serves its programs.

A small native process waits in the place of a hydrator until a program asks for a file. A native program, started once,
makes one for each session (`vfs/csrc/monitor/sessions.c`): it takes a tenth of the time of a start from here.

Rules:
1. That program ends with this process. The processes that wait are its children: they go on for programs that outlive
   this one.
2. A forked process starts its own.
3. It may be gone, or its descriptor may have been closed by code that closes all: then another one is started.
"""

from __future__ import annotations

import array
import contextlib
import os
import subprocess
import threading
from _socket import (  # the import of `socket` itself takes 3 ms
    AF_UNIX,
    MSG_NOSIGNAL,
    SCM_RIGHTS,
    SOCK_SEQPACKET,
    SOL_SOCKET,
    socket,
    socketpair,
)
from collections.abc import Callable, Sequence
from typing import IO, Protocol

from rootlay.store.containers.record import ContainerRecord
from rootlay.vfs.run.hydrator import start_hydrator, waiter_words, will_be_asked
from rootlay.vfs.run.launch import LaunchBind, LaunchDir
from rootlay.vfs.run.processes import Moment, has_guests
from rootlay.vfs.run.session import Session, engine_path, open_session
from rootlay.vfs.run.zombies import leave, reap_hydrators

_LISTENER_FD = 10
_MESSAGE_BYTES = 65535


class Waiting:
    """A process that waits. `stdin` is its life line: it is closed when no more programs will start."""

    def __init__(self, lifeline: int) -> None:
        self.stdin: IO[bytes] | None = os.fdopen(lifeline, "wb", buffering=0)
        self._pid = 0

    @property
    def pid(self) -> int:
        """Its number, which it has told by the life line."""
        if not self._pid and self.stdin is not None:
            self._pid = int(os.read(self.stdin.fileno(), 32) or b"0")
        return self._pid


def start_waiting(session: Session) -> Waiting | None:
    """Start a process that waits for the first request of a session; None: that is impossible, and nothing was done."""
    words = waiter_words(session, _LISTENER_FD if session.listener else -1)
    text = b"".join(os.fsencode(word) + b"\0" for word in words)
    if len(text) > _MESSAGE_BYTES:
        return None
    ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
    passed = [theirs.fileno(), *([session.listener.fileno()] if session.listener else [])]
    sent = _server.send(text, passed) or _server.send(text, passed)
    theirs.close()
    if not sent:
        ours.close()
        return None
    if session.listener:
        session.listener.close()
    return Waiting(ours.detach())


class _Server:
    """The native program of this process, and the channel to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._channel: socket | None = None
        self._node = 0

    def send(self, text: bytes, fds: list[int]) -> bool:
        """Send a session. Return False if the program is gone, and forget it."""
        with self._lock:
            try:
                channel = self._channel or self._start()
                if not self._is_ours(channel.fileno()):
                    raise OSError
                channel.sendmsg([text], [(SOL_SOCKET, SCM_RIGHTS, array.array("i", fds))], MSG_NOSIGNAL)
            except OSError:
                self.forget()
                return False
        return True

    def _start(self) -> socket:
        ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
        with contextlib.ExitStack() as opened:
            opened.callback(theirs.close)
            words = [str(engine_path().with_name("monitor")), "sessions"]
            null = subprocess.DEVNULL
            process = subprocess.Popen(words, stdin=theirs.fileno(), stdout=null, stderr=null)
        process.returncode = 0  # it ends after this process; if it is killed, it is collected by its number
        leave(process.pid)
        self._channel, self._node = ours, os.fstat(ours.fileno()).st_ino
        return ours

    def _is_ours(self, fd: int) -> bool:
        """Return whether no other file has got the number of the channel."""
        return os.fstat(fd).st_ino == self._node

    def forget(self) -> None:
        """Close the channel."""
        channel, self._channel = self._channel, None
        if channel is not None:
            fd = channel.detach()
            with contextlib.suppress(OSError):
                if self._is_ours(fd):
                    os.close(fd)
        reap_hydrators()

    def renew(self) -> None:
        """Forget the parent's program: this process was forked."""
        self._lock = threading.Lock()
        self.forget()


_server = _Server()
os.register_at_fork(after_in_child=_server.renew)


class OpenSession(Protocol):
    """What a container's handle needs of its session."""

    session: Session

    def renew(self) -> None:
        """Describe the container's current state to programs that start from now on."""

    def close(self) -> None:
        """Start no more programs."""


class LiveSession:
    """An open session. Close it when no more programs will start; running programs are still served.

    Args:
        binds: of the programs, in addition to the container's own.
        dirs: layers below the container's own.
        token: see open_session.
        made: see has_guests.

    Raises:
        EngineMissing, OSError: see open_session.
    """

    def __init__(
        self,
        record: ContainerRecord,
        binds: Sequence[LaunchBind] = (),
        token: str = "",
        dirs: Sequence[LaunchDir] = (),
        made: Moment | None = None,
    ) -> None:
        self._made = made
        self._binds = binds
        self._dirs = dirs
        self._process = os.getpid()
        self._closed = False
        self.session: Session = open_session(record, binds=binds, dirs=dirs, token=token)
        self._container = record.real_path
        waits = not will_be_asked(record)
        waiting = start_waiting(self.session) if waits else None
        self._hydrator: Waiting | subprocess.Popen[bytes] = waiting or start_hydrator(self.session)

    def keep(self, move: Callable[[int], int]) -> None:
        """Move the pipe that keeps the hydrator waiting to another descriptor, which `move` makes of it."""
        pipe = self._hydrator.stdin
        if pipe is not None:
            self._hydrator.stdin = os.fdopen(move(os.dup(pipe.fileno())), "wb", buffering=0)
            pipe.close()

    def renew(self) -> None:
        """Describe the container's current state to programs that start from now on; none may be running."""
        self.session = open_session(self.session.record, renew=self.session, binds=self._binds, dirs=self._dirs)

    def __del__(self) -> None:
        """Close a dropped handle; a forked child's copy is not one."""
        if not getattr(self, "_closed", True) and hasattr(self, "_hydrator") and self._process == os.getpid():
            self.close()

    def close(self) -> None:
        self._closed = True
        if not has_guests(self._container, self._made):
            self.session.forget()  # the hydrator would do it a moment later; until then the container would look busy
        if self._hydrator.stdin:
            self._hydrator.stdin.close()
        if not isinstance(self._hydrator, Waiting):
            # The hydrator exits by itself when the container is idle; only its exit status is left here.
            self._hydrator.returncode = self._hydrator.poll() or 0
            leave(self._hydrator.pid)
        reap_hydrators()

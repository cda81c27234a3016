"""The streams of one program: pipes or a terminal on its side, and a loop that relays them on the other side.

Rules:
1. The loop reads output as it arrives and never waits for a client: a client that does not read loses nothing but its
   own connection.
2. Input comes from any number of clients. If `once`, the program's input ends when the first client has ended its own.
3. The loop runs until the program has ended and its pipes are empty; `until_closed` continues for programs that outlive
   it and still have them open.
4. The caller is single-threaded: it forks.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import math
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping

from rootlay.vfs.run.containerlog import STDERR, STDOUT
from rootlay.vfs.run.peer import mark_of_peer
from rootlay.vfs.run.terminal import open_terminal

_READ_BYTES = 1 << 16
KILLED = 9
"""The wait status of a program whose exit code no process can learn: that of SIGKILL."""
_GET_INFO = 0xC040FF0B  # PIDFD_GET_INFO, since Linux 6.13, of the exit code since 6.15
_INFO = struct.Struct("<QQ11Ii")
_INFO_EXIT = 1 << 3
_COLLECTED_S = 1.0
Emit = Callable[[int, bytes], None]
"""Receives output: the stream and the bytes."""


class Streams:
    """The descriptors of a program, and their other ends.

    Args:
        tty: one terminal for all three; otherwise pipes.
        stdin: the program has an input; otherwise it reads /dev/null.
        size: rows and columns of the terminal.
    """

    def __init__(self, *, tty: bool, stdin: bool, size: tuple[int, int] = (24, 80)) -> None:
        self.sources: dict[int, int] = {}
        self.tty = tty
        self.sink = -1
        if tty:
            main, terminal = open_terminal(*size)
            self._inner: tuple[int, ...] = (terminal, terminal, terminal)
            self.sources[main] = STDOUT
            self.sink = main if stdin else -1
            return
        if stdin:
            inner, self.sink = os.pipe()
        else:
            inner = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        out, out_inner = os.pipe()
        err, err_inner = os.pipe()
        self.sources |= {out: STDOUT, err: STDERR}
        self._inner = (inner, out_inner, err_inner)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the program's descriptors in the place of this process's 0, 1 and 2, for a fork; then close them."""
        saved = [os.dup(fd) for fd in (0, 1, 2)]
        for fd, inner in enumerate(self._inner):
            os.dup2(inner, fd)
        try:
            yield
        finally:
            for fd, old in enumerate(saved):
                os.dup2(old, fd)
                os.close(old)
            for inner in set(self._inner):
                os.close(inner)

    @classmethod
    def inherited(cls, out: int, err: int, sink: int, *, tty: bool) -> Streams:
        """Return the streams of a program that another process has started; -1 for those that are closed."""
        made = cls.__new__(cls)
        made.tty, made.sink, made._inner = tty, sink, ()
        made.sources = {fd: stream for fd, stream in ((out, STDOUT), (err, STDERR)) if fd >= 0}
        return made

    def close(self) -> None:
        """Close the descriptors that are still open."""
        for fd in {*self.sources, self.sink} - {-1}:
            os.close(fd)
        self.sources.clear()
        self.sink = -1


class Relay:
    """The loop. `clients` may be added before it runs; `listener` accepts more while it runs."""

    def __init__(
        self,
        streams: Streams,
        emit: Emit,
        *,
        listener: socket.socket | None = None,
        once: bool = False,
        others: Callable[[], Mapping[int, Callable[[], None]]] = dict,
    ):
        self._streams = streams
        self._emit = emit
        self._once = once
        self._others = others
        self._stranger: Stranger | None = None
        self._clients: set[int] = set()
        self._listener = listener
        self._pending = bytearray()
        self._ends = False
        self._code: int | None = None
        self._wakes, wake = os.pipe()
        for fd in (self._wakes, wake):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._woken = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._wake = wake
        if streams.sink >= 0:
            os.set_blocking(streams.sink, False)
        for fd in streams.sources:
            os.set_blocking(fd, False)

    def add_client(self, fd: int) -> None:
        """Read input from a descriptor, which is closed after its end."""
        self._clients.add(fd)

    def silence(self) -> None:
        """Drop the output from now on."""
        self._emit = lambda stream, data: None

    def add_input(self, data: bytes) -> None:
        """Add input that a client has sent already."""
        self._pending += data

    def run(self, pid: int, turn: Callable[[], float | None] = lambda: None) -> int:
        """Relay until the program has ended; return its wait status. The streams stay open.

        Args:
            turn: called in each round, also after the end of a child; returns the seconds until the next call at the
                latest, None for no limit.
        """
        while self._code is None:
            self._turn(pid, turn())
        self.drain()
        return self._code

    def drain(self) -> None:
        """Relay the output that is there."""
        while self._read_output():
            pass

    def until_closed(self) -> None:
        """Relay until no process has the pipes open any more, then close everything."""
        while self._streams.sources:
            self._turn(-1)
        self.close()

    def close(self) -> None:
        """Close all descriptors of the streams and clients."""
        signal.set_wakeup_fd(self._woken)
        for fd in (self._wakes, self._wake, *self._clients):
            os.close(fd)
        self._clients.clear()
        self._streams.close()

    def _turn(self, pid: int, limit_s: float | None = None) -> None:
        poll = select.poll()
        for fd in (self._wakes, *self._streams.sources):
            poll.register(fd, select.POLLIN)
        others = self._others()
        for fd in (*others, *((self._stranger.fd,) if self._stranger and self._stranger.fd >= 0 else ())):
            poll.register(fd, select.POLLIN)
        if self._listener is not None:
            poll.register(self._listener, select.POLLIN)
        if self._pending and self._streams.sink >= 0:
            poll.register(self._streams.sink, select.POLLOUT | (select.POLLIN if self._streams.tty else 0))
        elif not self._pending:
            for fd in self._clients:
                poll.register(fd, select.POLLIN)
        if pid > 0 and self._collect(pid):
            return
        ready = {fd for fd, _ in poll.poll(None if limit_s is None else math.ceil(limit_s * 1000))}
        if self._wakes in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wakes, 4096)
        if self._listener is not None and self._listener.fileno() in ready:
            with contextlib.suppress(OSError):
                client = self._listener.accept()[0]
                if mark_of_peer(client) is None:
                    self.add_client(client.detach())
                else:  # a program of a container, which must not type into another
                    client.close()
        for fd in ready & others.keys():
            others[fd]()
        if ready & self._streams.sources.keys():
            self._read_output()
        for fd in ready & self._clients:
            self._read_input(fd)
        self._write_input()

    def _collect(self, pid: int) -> bool:
        if self._stranger is not None:
            self._code = self._stranger.status()
            return self._code is not None
        try:
            done, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            self._stranger = Stranger(pid)
            return self._collect(pid)
        if not done or os.WIFSTOPPED(status):  # stopped: it has made its parent its tracer
            return False
        self._code = status
        return True

    def _read_output(self) -> bool:
        """Relay what is there. Return whether there was anything."""
        found = False
        for fd, stream in list(self._streams.sources.items()):
            try:
                data = os.read(fd, _READ_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno != errno.EIO:  # EIO: no process has the terminal open any more
                    raise
                data = b""
            if data:
                found = True
                self._emit(stream, data)
            else:
                self._end_source(fd)
        return found

    def _end_source(self, fd: int) -> None:
        del self._streams.sources[fd]
        if fd == self._streams.sink:
            self._streams.sink = -1
        os.close(fd)

    def _read_input(self, fd: int) -> None:
        try:
            data = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._clients.discard(fd)
            os.close(fd)
            self._ends = self._once
        self._pending += data

    def _write_input(self) -> None:
        sink = self._streams.sink
        if sink < 0:
            self._pending.clear()
            return
        try:
            while self._pending:
                del self._pending[: os.write(sink, self._pending)]
        except BlockingIOError:
            return
        except OSError:  # the program reads no more
            self._ends = True
            self._pending.clear()
        if self._ends and not self._streams.tty:
            os.close(sink)
            self._streams.sink = -1


class Stranger:
    """A program that is not a child of this process: the monitor that started it, and its heir, were killed.

    `fd` is readable when it has ended; -1 if it had ended before.
    """

    def __init__(self, pid: int) -> None:
        try:
            self.fd = os.pidfd_open(pid)
        except OSError:
            self.fd = -1

    def status(self) -> int | None:
        """Return the wait status; None while it runs."""
        if self.fd < 0:
            return KILLED
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        if not poll.poll(0):
            return None
        status = self._collected()
        os.close(self.fd)
        self.fd = -1
        return status

    def _collected(self) -> int:
        """Return the wait status, which the kernel tells after the program's new parent has collected it."""
        deadline = time.monotonic() + _COLLECTED_S
        while time.monotonic() < deadline:
            try:
                info = fcntl.ioctl(self.fd, _GET_INFO, _INFO.pack(_INFO_EXIT, *(0,) * 12))
            except OSError:
                break
            mask, *_, status = _INFO.unpack(info)
            if mask & _INFO_EXIT:
                return int(status)
            time.sleep(0.002)
        return KILLED


def is_child(pid: int) -> bool:
    """Return whether a process is a child of this one, ended or not."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None or True
    except ChildProcessError:
        return False

"""Input and output of a program until it ends.

Rules:
1. The program's own end counts, not that of its pipes: a background child that keeps them is not waited for, except
   LINGER_S for the output of children that are about to end.
2. Output beyond the limit is read and dropped: the program does not notice.
3. A program that must end (time-out, limit, cancellation) ends with its whole tree.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
from typing import Any

from rootlay.store.model.value import value
from rootlay.vfs.held.limits import Limits
from rootlay.vfs.held.tree import Tree
from rootlay.vfs.held.watch import Usage, Watch

LINGER_S = 0.1
_READ_BYTES = 1 << 16
_POLL_S = 0.01
"""Time between two questions whether the program has ended, on a machine that cannot report it."""
_IN = select.POLLIN | select.POLLHUP | select.POLLERR


@value
class Outcome:
    """The end of a program: what it wrote (None: not to a pipe), and why it ended."""

    stdout: bytes | None
    stderr: bytes | None
    truncated: bool
    exceeded: str
    usage: Usage


class Cancelled(Exception):
    """The caller wants the program to end."""


class TimedOut(Exception):
    """The time-out of the caller has passed. The arguments are the output so far."""


class _Pipe:
    """Output of one stream."""

    def __init__(self, file: Any, limit: int) -> None:
        self.file = file
        self.fd: int = file.fileno()
        self.cut = False
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        os.set_blocking(self.fd, False)

    def read(self) -> bool:
        """Read a part. Return False at the end, and if there is none now."""
        try:
            data = os.read(self.fd, _READ_BYTES)
        except BlockingIOError:
            return False
        room = self._limit - self._size if self._limit else len(data)
        if len(data) > room:
            self.cut, data_kept = True, data[:room]
        else:
            data_kept = data
        if data_kept:
            self._parts.append(data_kept)
            self._size += len(data_kept)
        return bool(data)

    def content(self) -> bytes:
        return b"".join(self._parts)


class Conversation:
    """A program with its pipes.

    Args:
        limits: see Watch; `output` is applied here.
        stop: a descriptor that becomes readable when the program must end; -1: none.
    """

    def __init__(
        self, process: subprocess.Popen[Any], tree: Tree, watch: Watch, limits: Limits, data: bytes, stop: int = -1
    ) -> None:
        self._process = process
        self._tree = tree
        self._watch = watch
        self._stop = stop
        self._data = memoryview(data)
        self._limits = limits
        self._out = _Pipe(process.stdout, limits.output) if process.stdout else None
        self._err = _Pipe(process.stderr, limits.output) if process.stderr else None
        self._open = {pipe.fd: pipe for pipe in (self._out, self._err) if pipe is not None}
        self._poll = select.poll()
        for fd in self._open:
            self._poll.register(fd, _IN)

    def run(self, timeout_s: float | None) -> Outcome:
        """Talk until the program has ended.

        Raises:
            TimedOut, Cancelled: the tree has been killed.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        pidfd = self._begin()
        try:
            while not self._ended(pidfd):
                if self._watch.check():
                    self._tree.kill()
                elif deadline is not None and time.monotonic() >= deadline:
                    raise TimedOut
                self._turn(pidfd, self._patience(deadline, pidfd))
            usage = self._reap()
            self._linger()
        except BaseException as error:
            self._tree.kill()
            self._reap()
            self._drain()
            if isinstance(error, TimedOut):
                raise TimedOut(*self._contents()) from None
            raise
        finally:
            if pidfd >= 0:
                os.close(pidfd)
        if self._limits != Limits():
            self._tree.kill()
        exceeded = self._watch.last(self._process.returncode, usage.cpu_s)
        truncated = any(pipe is not None and pipe.cut for pipe in (self._out, self._err))
        return Outcome(*self._contents(), truncated, exceeded, usage)

    def _begin(self) -> int:
        pidfd = -1
        with contextlib.suppress(OSError):
            pidfd = os.pidfd_open(self._process.pid)
            self._poll.register(pidfd, select.POLLIN)
        if self._stop >= 0:
            self._poll.register(self._stop, select.POLLIN)
        if self._process.stdin:
            if self._data:
                os.set_blocking(self._process.stdin.fileno(), False)
                self._poll.register(self._process.stdin.fileno(), select.POLLOUT)
            else:
                self._close_input()
        return pidfd

    def _ended(self, pidfd: int) -> bool:
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        try:
            found = os.waitid(os.P_PID, self._process.pid, flags)
            return found is not None and found.si_code not in (os.CLD_TRAPPED, os.CLD_STOPPED)
        except ChildProcessError:  # another thread has collected it
            return True

    def _patience(self, deadline: float | None, pidfd: int) -> float | None:
        waits = [wait for wait in (self._watch.wait_s(), None if pidfd >= 0 else _POLL_S) if wait is not None]
        if deadline is not None:
            waits.append(max(0.0, deadline - time.monotonic()))
        return min(waits) if waits else None

    def _turn(self, pidfd: int, wait_s: float | None) -> None:
        for fd, _ in self._poll.poll(None if wait_s is None else wait_s * 1000 + 1):
            if fd == self._stop:
                raise Cancelled
            if fd in self._open:
                self._receive(fd)
            elif fd != pidfd:
                self._send(fd)

    def _receive(self, fd: int) -> None:
        with contextlib.suppress(BlockingIOError):
            if not self._open[fd].read():
                self._poll.unregister(fd)
                del self._open[fd]

    def _send(self, fd: int) -> None:
        try:
            self._data = self._data[os.write(fd, self._data[:_READ_BYTES]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._data = self._data[:0]
        if not self._data:
            self._poll.unregister(fd)
            self._close_input()

    def _close_input(self) -> None:
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def _linger(self) -> None:
        """Apply rule 1."""
        until = time.monotonic() + LINGER_S
        poll = select.poll()
        for fd in self._open:
            poll.register(fd, _IN)
        while self._open and (left := until - time.monotonic()) > 0:
            for fd, _ in poll.poll(left * 1000):
                if not self._open[fd].read():
                    poll.unregister(fd)
                    del self._open[fd]
        self._drain()

    def _drain(self) -> None:
        """Read what is in the pipes of a dead tree, at most a full pipe."""
        for pipe in self._open.values():
            for _ in range(_READ_BYTES // 4096):
                if not pipe.read():
                    break

    def _reap(self) -> Usage:
        """Collect the exit status."""
        wall_s = time.monotonic() - self._watch.started
        try:
            status = 0x7F
            while os.WIFSTOPPED(status):  # a child that has made its parent its tracer stops, too
                _, status, used = os.wait4(self._process.pid, 0)
        except ChildProcessError:
            self._process.wait()
            return Usage(wall_s)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return Usage(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)

    def _contents(self) -> tuple[bytes | None, bytes | None]:
        out, err = (None if pipe is None else pipe.content() for pipe in (self._out, self._err))
        return out, err

    def close(self) -> None:
        """Close the pipes."""
        for file in (self._process.stdin, self._process.stdout, self._process.stderr):
            if file is not None:
                with contextlib.suppress(BrokenPipeError):
                    file.close()

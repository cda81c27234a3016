"""The exchange of steps with a living interpreter: code goes in, output comes out until the step's mark."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shlex
import time

from rootlay.vfs.held.limits import Limits
from rootlay.vfs.held.start import HeldProcess, cgroup_of
from rootlay.vfs.held.tree import Tree
from rootlay.vfs.held.watch import Usage, Watch
from rootlay.vfs.sandbox.result import Result

_READ_BYTES = 1 << 16
_POLL_S = 0.5
_MARK_DIGITS = 32


class _Stream:
    """One stream of a step, up to the mark."""

    def __init__(self, fd: int, mark: bytes, limit: int) -> None:
        self.fd = fd
        self.done = False
        self.cut = False
        self.status = b""
        self._mark = mark
        self._limit = limit
        self._kept = bytearray()
        self._tail = b""  # may hold the beginning of the mark

    def read(self) -> bool:
        """Read a part. Returns False at the end of the stream."""
        try:
            data = os.read(self.fd, _READ_BYTES)
        except BlockingIOError:
            return True
        text = self._tail + data
        at = text.find(self._mark)
        if at >= 0:
            self._keep(text[:at])
            self._tail, self.status = b"", text[at + len(self._mark) :]
            self.done = True
            return True
        keep = len(text) - len(self._mark) if data else len(text)
        self._keep(text[: max(0, keep)])
        self._tail = text[max(0, keep) :]
        return bool(data)

    def finish_status(self) -> None:
        """Read the rest of the line with the status."""
        while b"\n" not in self.status:
            select.select([self.fd], [], [], _POLL_S)
            with contextlib.suppress(BlockingIOError):
                if not (more := os.read(self.fd, 64)):
                    return
                self.status += more

    def text(self) -> str:
        return (bytes(self._kept) + (b"" if self.done else self._tail)).decode("utf-8", "replace")

    def _keep(self, data: bytes) -> None:
        room = self._limit - len(self._kept) if self._limit else len(data)
        self.cut |= len(data) > room
        self._kept += data[: max(0, room)]


class Dialogue:
    """A living interpreter."""

    def __init__(self, process: HeldProcess, tree: Tree, interpreter: str) -> None:
        self.tree = tree
        self.cgroup = cgroup_of(process)
        self._process = process
        self._shell = interpreter == "shell"
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None  # noqa: PT018
        for file in (process.stdin, process.stdout, process.stderr):
            os.set_blocking(file.fileno(), False)

    @property
    def is_alive(self) -> bool:
        """Whether the interpreter runs."""
        return self._process.poll() is None

    def step(self, code: str, watch: Watch, limits: Limits) -> Result:
        """Run a step. A step that exceeds a limit ends the interpreter with its tree."""
        mark = os.urandom(_MARK_DIGITS // 2).hex()
        process = self._process
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None  # noqa: PT018
        streams = [_Stream(file.fileno(), mark.encode(), limits.output) for file in (process.stdout, process.stderr)]
        self._exchange(self._words(mark, code), streams, watch)
        out, err = streams
        status = -9
        if out.done:
            out.finish_status()
            status = int(out.status) if out.status.strip().lstrip(b"-").isdigit() else -9
        else:
            self.tree.kill()
            status = process.wait()
        usage = Usage(time.monotonic() - watch.started)
        return Result(status, out.text(), err.text(), out.cut or err.cut, watch.last(status), usage=usage)

    def close(self) -> None:
        """End the interpreter and its tree."""
        self.tree.kill()
        self._process.wait()
        for file in (self._process.stdin, self._process.stdout, self._process.stderr):
            if file is not None:
                with contextlib.suppress(OSError):
                    file.close()

    def _words(self, mark: str, code: str) -> memoryview:
        if self._shell:
            text = (
                f"eval {shlex.quote(code)} </dev/null\n"
                f"{{ _s=$?; printf %s {mark} >&2; printf '%s%d\\n' {mark} $_s; }} 2>&2\n"
            )
        else:
            text = f"{json.dumps([mark, code])}\n"
        return memoryview(text.encode("utf-8", "surrogateescape"))

    def _exchange(self, data: memoryview, streams: list[_Stream], watch: Watch) -> None:
        """Write the step and read its output, until both streams have the mark, or the interpreter ends."""
        process = self._process
        assert process.stdin is not None  # made with pipes
        poll = select.poll()
        by_fd = {stream.fd: stream for stream in streams}
        for fd in by_fd:
            poll.register(fd, select.POLLIN)
        poll.register(process.stdin.fileno(), select.POLLOUT)
        while by_fd and not watch.check():
            wait_s = watch.wait_s()
            for fd, _ in poll.poll(1000 * min(_POLL_S, _POLL_S if wait_s is None else wait_s) + 1):
                if fd in by_fd:
                    if not by_fd[fd].read() or by_fd[fd].done:
                        poll.unregister(fd)
                        del by_fd[fd]
                    continue
                try:
                    data = data[os.write(fd, data[:_READ_BYTES]) :]
                except BlockingIOError:
                    continue
                except BrokenPipeError:
                    data = data[:0]
                if not data:
                    poll.unregister(fd)
            if process.poll() is not None and not poll.poll(0):
                return

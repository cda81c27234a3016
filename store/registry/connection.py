"""Connections that receive the whole head of an answer, in time, or raise an error.

http.client applies a timeout to each byte, and takes the end of a connection for the end of the head: headers would be
missing without an error, and a resumed blob could have another length.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import socket
import threading
from typing import Any


def patient(kind: type[Any], seconds: float) -> type[Any]:
    """Return a class of connections, like `kind`, which receive the whole head of an answer within `seconds` or fail:
    the timeout of a socket applies to each byte."""

    class Connection(kind):  # type: ignore[misc]  # one of two
        response_class = _WholeHead

        def getresponse(self) -> Any:
            deadline = _Deadline(self.sock, seconds)
            try:
                return super().getresponse()
            except OSError as error:
                if deadline.passed:
                    raise TimeoutError(None, "the header of the answer is incomplete") from error
                raise
            finally:
                deadline.cancel()

    return Connection


class _WholeHead(http.client.HTTPResponse):
    """A response whose head must be complete: http.client takes the end of a connection for the end of the head, and
    headers would be missing without an error."""

    def begin(self) -> None:
        stream: Any = self.fp
        self.fp = _Head(stream)  # type: ignore[assignment]  # all that `begin` reads
        try:
            super().begin()
        finally:
            if self.fp is not None:  # it closes answers that are not HTTP
                self.fp = stream


class _Head:
    """The lines of a head. http.client handles an end before the first line."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._begun = False
        self.close = stream.close

    def readline(self, limit: int) -> bytes:
        line: bytes = self._stream.readline(limit)
        if (line or self._begun) and not line.endswith(b"\n") and len(line) < limit:
            raise ConnectionAbortedError(
                errno.ECONNABORTED, "the connection was interrupted in the header of the answer"
            )
        self._begun = True
        return line


class _Deadline(threading.Timer):
    """A timer that shuts a connection down."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        super().__init__(seconds, self._shut)
        self.daemon = True
        self.passed = False
        self._sock = sock
        self.start()

    def _shut(self) -> None:
        self.passed = True
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

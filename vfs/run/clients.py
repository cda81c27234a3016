"""The connections of a hydrator (docs/format.md §8): programs that request files, and may be hostile.

Rules:
1. No call waits for a client. A client that does not read its answers, or sends half a request, blocks only itself, and
   is dropped after `PATIENCE_S`.
2. Turns are fair: one request of each client is answered before any client's next one. Nothing more is read from a
   client before its requests are answered and it has read the answers. So a client costs `READ_BYTES`, an answer
   (4 bytes, with content at most 128 KiB) and a descriptor.
3. There are at most `clients_max` clients. When all places are taken, the client that has been silent longest is
   dropped; a program whose connection is closed before the answer retries (core/layers/hydrate.c). While every client
   has a pending request, no client is accepted.
4. A client that breaks the protocol is dropped, and one that is not allowed is not heard.
"""

from __future__ import annotations

import contextlib
import errno
import select
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

MAGIC = 0x31594852
CONTENT_MAGIC = 0x31434852
REQUEST = struct.Struct("<II")
REPLY = struct.Struct("<i")
READ_BYTES = 64 * REQUEST.size
PATIENCE_S = 30.0
CLIENTS_MAX = 256
ACCEPTED_A_TURN = 16
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)


def pack_reply(content: bytes = b"", *, error: int = 0) -> bytes:
    """Return a reply: the number of bytes that follow, 0 if the file was hydrated, or the negative errno."""
    return REPLY.pack(-error if error else len(content)) + content


def anybody(client: socket.socket) -> bool:
    """Allow every client: for servers of one program."""
    return True


class _Client:
    """One connection. `since`: when it last made progress (monotonic clock)."""

    __slots__ = ("answer", "pending", "since", "socket")

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.pending = b""
        self.answer = b""
        self.since = time.monotonic()

    @property
    def asks(self) -> bool:
        """Whether a request can be answered now."""
        return len(self.pending) >= REQUEST.size and not self.answer

    @property
    def stuck(self) -> bool:
        """Whether it has left something half-done."""
        return bool(self.answer) or 0 < len(self.pending) < REQUEST.size


class Clients:
    """All connections of one hydrator, in one thread."""

    def __init__(
        self,
        listener: socket.socket | None,
        answer: Callable[[int], bytes],
        clients_max: int,
        content: Callable[[int], bytes],
        allowed: Callable[[socket.socket], bool] = anybody,
    ) -> None:
        """Serve the clients of `listener`; `answer` returns the reply for a view entry's id, `content` the one with the
        file's content. `allowed`: whether a client may ask."""
        self._listener = listener
        self._answers = {MAGIC: answer, CONTENT_MAGIC: content}
        self._allowed = allowed
        self._max = clients_max
        self._poll = select.epoll()
        self._clients: dict[int, _Client] = {}
        self._asking: deque[int] = deque()
        self._listening = False
        if listener:
            listener.setblocking(False)
            self._listen(True)

    def watch(self, fd: int) -> None:
        """Make `turn` return when this descriptor is ready, too."""
        self._poll.register(fd, select.EPOLLIN)

    def forget(self, fd: int) -> None:
        """Stop watching the descriptor."""
        self._poll.unregister(fd)

    def close(self) -> None:
        """Drop all clients. The caller closes the listener."""
        for fd in list(self._clients):
            self._drop(fd)
        self._poll.close()

    def turn(self, timeout_s: float | None) -> tuple[bool, bool, set[int]]:
        """Wait for an event, at most for the timeout (None: indefinitely), then read from ready clients, and answer one
        request of each.

        Returns:
            Whether anything happened, whether a client made progress, and which watched descriptors are ready.
        """
        if any(client.stuck for client in self._clients.values()):
            timeout_s = PATIENCE_S / 8 if timeout_s is None else min(timeout_s, PATIENCE_S / 8)
        ready = self._poll.poll(0 if self._asking else timeout_s)
        others: set[int] = set()
        moved = False
        for fd, _ in ready:
            client = self._clients.get(fd)
            if self._listener and fd == self._listener.fileno():
                self._accept()
            elif client is None:
                others.add(fd)
            elif not client.asks:  # the requesting client has hung up: it will not read its answer
                moved = True
                self._move(fd, client)
        for fd in [self._asking.popleft() for _ in range(len(self._asking))]:
            moved = True
            self._serve(fd, self._clients[fd])
        self._drop_stuck()
        self._listen(self._has_room())
        return bool(ready) or moved, moved, others

    def _move(self, fd: int, client: _Client) -> None:
        """Read from the client and write to it as much as possible now."""
        try:
            if client.answer:
                client.answer = client.answer[client.socket.send(client.answer) :]
            elif not client.asks:
                data = client.socket.recv(READ_BYTES)
                if not data:
                    self._drop(fd)
                    return
                client.pending += data
            client.since = time.monotonic()
        except BlockingIOError:
            pass
        except OSError:
            self._drop(fd)
            return
        self._settle(fd, client)

    def _serve(self, fd: int, client: _Client) -> None:
        """Answer one request."""
        magic, entry = REQUEST.unpack_from(client.pending)
        answer = self._answers.get(magic)
        if answer is None:
            self._drop(fd)
            return
        client.pending = client.pending[REQUEST.size :]
        client.answer = answer(entry)
        client.since = time.monotonic()  # the time for its request is not its own delay
        self._move(fd, client)

    def _settle(self, fd: int, client: _Client) -> None:
        """Register the events to wait for on this client."""
        if client.asks:
            self._asking.append(fd)
        events = select.EPOLLOUT if client.answer else 0 if client.asks else select.EPOLLIN
        self._poll.modify(fd, events)

    def _accept(self) -> None:
        for _ in range(ACCEPTED_A_TURN):
            if self._listener is None or not self._has_room():
                return
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionError:
                continue
            except OSError as error:
                if error.errno not in _NO_DESCRIPTORS or not self._drop_silent():
                    return
                continue
            if not self._allowed(connection):
                connection.close()
                continue
            if len(self._clients) >= self._max:
                self._drop_silent()
            connection.setblocking(False)
            client = self._clients[connection.fileno()] = _Client(connection)
            self._poll.register(connection, select.EPOLLIN)
            self._move(connection.fileno(), client)  # its request is usually there already

    def _has_room(self) -> bool:
        """Return whether one more can be accepted, if necessary in the place of a silent one."""
        return len(self._clients) < self._max or any(not client.asks for client in self._clients.values())

    def _drop_silent(self) -> bool:
        """Drop the client that has been silent longest; return False if all have a pending request."""
        silent = [(client.since, fd) for fd, client in self._clients.items() if not client.asks]
        if silent:
            self._drop(min(silent)[1])
        return bool(silent)

    def _drop_stuck(self) -> None:
        limit = time.monotonic() - PATIENCE_S
        for fd in [fd for fd, client in self._clients.items() if client.stuck and client.since < limit]:
            self._drop(fd)

    def _drop(self, fd: int) -> None:
        self._poll.unregister(fd)
        with contextlib.suppress(ValueError):
            self._asking.remove(fd)
        self._clients.pop(fd).socket.close()

    def _listen(self, on: bool) -> None:
        if self._listener and on != self._listening:
            self._listening = on
            if on:
                self._poll.register(self._listener, select.EPOLLIN)
            else:
                self._poll.unregister(self._listener)

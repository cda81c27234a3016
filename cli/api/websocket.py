"""A WebSocket (RFC 6455) on a taken-over connection, for `attach/ws`: the bytes of a program, in binary messages."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import socket
import struct
import threading
from collections.abc import Iterator

from rootlay.cli.api.errors import bad_parameter
from rootlay.cli.api.exchange import Exchange

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_MESSAGE_BYTES = 1 << 20


class Link:
    """An open WebSocket. `input` is a descriptor from which the client's messages are read, as plain bytes."""

    def __init__(self, client: socket.socket, early: bytes) -> None:
        self._client = client
        self._buffer = early
        self._lock = threading.Lock()
        self.input, self._feed = os.pipe()
        threading.Thread(target=self._receive, name="websocket", daemon=True).start()

    def send(self, data: bytes) -> None:
        """Send a binary message. Raises OSError."""
        self._frame(_BINARY, data)

    def _frame(self, opcode: int, data: bytes) -> None:
        length = len(data)
        if length < 126:
            head = struct.pack(">BB", 0x80 | opcode, length)
        elif length < 1 << 16:
            head = struct.pack(">BBH", 0x80 | opcode, 126, length)
        else:
            head = struct.pack(">BBQ", 0x80 | opcode, 127, length)
        with self._lock:
            self._client.sendall(head + data)

    def _receive(self) -> None:
        """Pass the client's messages on until it leaves."""
        with contextlib.suppress(OSError, EOFError):
            while True:
                opcode, data = self._message()
                if opcode == _CLOSE:
                    self._frame(_CLOSE, data[:2])
                    break
                if opcode == _PING:
                    self._frame(_PONG, data)
                elif opcode in (_CONTINUATION, _TEXT, _BINARY):
                    while data:
                        data = data[os.write(self._feed, data) :]
        os.close(self._feed)

    def _message(self) -> tuple[int, bytes]:
        first, second = self._take(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", self._take(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._take(8))
        if length > _MESSAGE_BYTES or not second & 0x80:  # a client masks (RFC 6455, 5.1)
            raise EOFError
        mask, data = self._take(4), self._take(length)
        return first & 0x0F, bytes(byte ^ mask[index & 3] for index, byte in enumerate(data))

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            data = self._client.recv(1 << 16)
            if not data:
                raise EOFError
            self._buffer += data
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def close(self) -> None:
        """Say goodbye."""
        with contextlib.suppress(OSError):
            self._frame(_CLOSE, struct.pack(">H", 1000))
            self._client.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def accept(exchange: Exchange) -> Iterator[Link]:
    """Answer the handshake, and yield the WebSocket until the end of the block. Raises ApiError."""
    key = exchange.headers.get("sec-websocket-key", "")
    if "websocket" not in exchange.headers.get("upgrade", "").lower() or not key:
        raise bad_parameter("a WebSocket handshake is needed")
    accepted = base64.b64encode(hashlib.sha1(key.encode("latin-1") + _GUID).digest()).decode("ascii")
    client, early = exchange.take_over("", head=(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accepted}\r\n\r\n"
    ))  # fmt: skip
    link = Link(client, early)
    try:
        yield link
    finally:
        link.close()

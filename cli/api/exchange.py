"""One HTTP connection, and one request on it with its answer (RFC 9112, by h11).

Rules:
1. A handler reads the request's body before it answers, and answers once: with JSON, with a stream, or by taking the
   connection over (Docker's "hijack").
2. A connection that was taken over, or whose request has an unread body, is closed at the end.
3. Errors of the client's connection end the handler: `ClientLeft`.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import select
import socket
import termios
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import h11

from rootlay.cli.api.errors import ApiError, bad_parameter
from rootlay.cli.api.shapes import Shape, read_json

_READ_BYTES = 1 << 16
HEAD_READ_S = 0.05
JSON_BYTES = 4 << 20
"""The largest JSON body: twice the arguments that a command line can have. One takes up to 30 times its size."""
RAW_STREAM = "application/vnd.docker.raw-stream"
MULTIPLEXED_STREAM = "application/vnd.docker.multiplexed-stream"


class ClientLeft(Exception):
    """The client has closed the connection."""


class Connection:
    """A connection with a client. Requests are handled one after the other."""

    def __init__(self, client: socket.socket, server: str) -> None:
        self.client = client
        self.server = server
        self.parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 18)

    def next_event(self) -> Any:
        """Return the next event of the request. Raises ClientLeft, h11.RemoteProtocolError."""
        while True:
            event = self.parser.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self.parser.they_are_waiting_for_100_continue:
                self.send(h11.InformationalResponse(status_code=100, headers=[]))
            try:
                data = self.client.recv(_READ_BYTES)
            except OSError as error:
                raise ClientLeft from error
            self.parser.receive_data(data)

    def next_request(self) -> Exchange | None:
        """Return the next request; None at the end of the connection. Raises h11.RemoteProtocolError."""
        try:
            event = self.next_event()
        except ClientLeft:
            return None
        return Exchange(self, event) if isinstance(event, h11.Request) else None

    def send(self, event: Any) -> None:
        """Send an event of the answer. Raises ClientLeft."""
        data = self.parser.send(event)
        if data:
            self.send_bytes(data)

    def send_bytes(self, data: bytes | bytearray | memoryview) -> None:
        """Send raw bytes. Raises ClientLeft."""
        try:
            self.client.sendall(data)
        except OSError as error:
            raise ClientLeft from error

    def renew(self) -> bool:
        """Prepare for the next request. Return False if the connection has to be closed."""
        if self.parser.our_state is h11.DONE and self.parser.their_state is h11.DONE:
            self.parser.start_next_cycle()
            return True
        return False


class Exchange:
    """One request and its answer."""

    def __init__(self, connection: Connection, request: h11.Request) -> None:
        self.connection = connection
        self.method = request.method.decode("ascii")
        try:
            parts = urlsplit(request.target.decode("ascii", "replace"))
        except ValueError as error:
            raise h11.RemoteProtocolError("the target is not a URL") from error
        self.path = parts.path
        self.query = parse_qsl(parts.query, keep_blank_values=True)
        self.headers = {name.decode("ascii"): value.decode("latin-1") for name, value in request.headers}
        self.api_version = ""
        self.answered = False
        self.taken_over = False
        self._ended = False

    # The request

    def body(self) -> Iterator[bytes]:
        """Yield the body in pieces. Raises ClientLeft if it is cut off."""
        while not self._ended:
            event = self.connection.next_event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) or event is h11.PAUSED:
                self._ended = True
            else:
                raise ClientLeft

    def json(self, shape: Shape) -> dict[str, Any]:
        """Return the body as a JSON object of this shape; an empty one without a body. Raises ApiError."""
        data = bytearray()
        for piece in self.body():
            data += piece
            if len(data) > JSON_BYTES:
                raise ApiError(413, f"the request's body is too large: a JSON body has at most {JSON_BYTES} bytes")
        if not data.strip():
            return {}
        try:
            found = json.loads(data)
        except ValueError as error:
            raise bad_parameter(f"invalid JSON: {error}") from None
        except RecursionError:
            raise bad_parameter("invalid JSON: it is nested too deeply") from None
        if found is None:
            return {}
        if not isinstance(found, dict):
            raise bad_parameter("invalid JSON: an object is expected")
        members: dict[str, Any] = read_json(shape, found)
        return members

    # The answer

    def reply(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        """Answer with JSON, or without a body for None."""
        data = b"" if body is None else json.dumps(body, separators=(",", ":")).encode() + b"\n"
        kind = {} if body is None else {"Content-Type": "application/json"}
        self.reply_bytes(status, data, {**kind, **(headers or {})})

    def reply_bytes(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        """Answer with a body of known length."""
        length = {} if status in (204, 304) else {"Content-Length": str(len(data))}
        self._begin(status, {**length, **headers})
        if data and self.method != "HEAD":
            self.connection.send(h11.Data(data=data))
        self.connection.send(h11.EndOfMessage())

    def stream(self, kind: str = "application/json", status: int = 200, headers: dict[str, str] | None = None) -> Body:
        """Begin an answer of unknown length. Its head is sent now."""
        self._begin(status, {"Content-Type": kind, **(headers or {})})
        return Body(self)

    def _begin(self, status: int, headers: dict[str, str]) -> None:
        for _ in self.body():  # rule 1: what is left of it
            pass
        self.answered = True
        common = {
            "Api-Version": self.api_version, "Docker-Experimental": "false", "Ostype": "linux",
            "Server": self.connection.server,
        }  # fmt: skip
        lines = [(name, value) for name, value in {**common, **headers}.items() if value]
        self.connection.send(h11.Response(status_code=status, headers=lines, reason=HTTPStatus(status).phrase.encode()))

    def take_over(self, kind: str, head: str = "") -> tuple[socket.socket, bytes]:
        """Take the connection over: send the head of the answer, and return the socket and what was read already.

        Args:
            kind: the content type.
            head: the whole head of another protocol.
        """
        for _ in self.body():
            pass
        self.answered = self.taken_over = True
        early, _ = self.connection.parser.trailing_data
        if head:
            self.connection.send_bytes(head.encode("ascii"))
            return self.connection.client, early
        if "upgrade" in self.headers:
            head = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        else:
            head = "HTTP/1.1 200 OK\r\n"
        head += f"Content-Type: {kind}\r\nApi-Version: {self.api_version}\r\nServer: {self.connection.server}\r\n\r\n"
        self.connection.send_bytes(head.encode("ascii"))
        _wait_until_read(self.connection.client)
        return self.connection.client, early

    def client_left(self) -> bool:
        """Return whether the client has closed the connection: for handlers that wait."""
        poll = select.poll()
        poll.register(self.connection.client, select.POLLIN)
        if not poll.poll(0):
            return False
        try:
            return not self.connection.client.recv(1, socket.MSG_PEEK)
        except OSError:
            return True


def _wait_until_read(client: socket.socket) -> None:
    """Wait a moment until the client has read the head of an answer.

    docker-py reads the head with a buffer, and everything after it from the bare socket: bytes that arrive together
    with the head would be lost. Of a UNIX socket the kernel says how much is unread (unix(7)); of a TCP socket it does
    not.
    """
    deadline = time.monotonic() + HEAD_READ_S
    unread = array.array("i", [0])
    while time.monotonic() < deadline:
        fcntl.ioctl(client, termios.TIOCOUTQ, unread)
        if not unread[0]:
            return
        time.sleep(0.0002)


class Body:
    """The body of a streamed answer: a binary file to write to. Each write is sent at once."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Send some bytes. Raises ClientLeft."""
        if len(data) and self._exchange.method != "HEAD":
            self._exchange.connection.send(h11.Data(data=bytes(data)))
        return len(data)

    def send(self, value: Any) -> None:
        """Send a line of JSON."""
        self.write(json.dumps(value, separators=(",", ":")).encode() + b"\r\n")

    def flush(self) -> None:
        """Do nothing: every write is sent."""

    def close(self) -> None:
        """End the answer."""
        with contextlib.suppress(h11.LocalProtocolError):
            self._exchange.connection.send(h11.EndOfMessage())

    def __enter__(self) -> Body:
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        if kind is None:
            self.close()

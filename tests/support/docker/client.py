"""A plain client of the Docker Engine API: one connection for each request, and taken-over connections."""

from __future__ import annotations

import http.client
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

VERSION = "1.47"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float = 30) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body.strip() else None

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines() if line.strip()]


class Client:
    """`client("GET", "/containers/json", all=1)`. The status is checked: `status`, or any success."""

    def __init__(self, path: Path, version: str = VERSION) -> None:
        self.path = path
        self.version = version

    def __call__(
        self, method: str, path: str, /, body: Any = None, *, status: int | None = None,
        headers: Mapping[str, str] | None = None, timeout_s: float = 30, **query: Any,
    ) -> Answer:  # fmt: skip
        connection = UnixConnection(self.path, timeout_s)
        given = {name: json.dumps(item) if isinstance(item, dict) else item for name, item in query.items()}
        target = f"/v{self.version}{path}" + (f"?{urlencode(given, doseq=True)}" if given else "")
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        try:
            kind = "application/x-tar" if isinstance(body, bytes) else "application/json"
            connection.request(method, target, data, {"Content-Type": kind, **(headers or {})})
            response = connection.getresponse()
            answer = Answer(response.status, dict(response.headers.items()), response.read())
        finally:
            connection.close()
        if status is None:
            assert answer.status < 300, (method, target, answer.status, answer.body)
        else:
            assert answer.status == status, (method, target, answer.status, answer.body)
        return answer

    def create(self, *words: str, image: str = "small", name: str = "", timeout_s: float = 30, **members: Any) -> str:
        """Make a container and return its ID."""
        body = {"Image": image, "Cmd": list(words), **members}
        return str(self("POST", "/containers/create", body, status=201, name=name, timeout_s=timeout_s).json["Id"])

    def run(self, *words: str, **members: Any) -> tuple[int, dict[int, bytes]]:
        """Run a program to its end; return its exit code and its output by stream."""
        identity = self.create(*words, **members)
        self("POST", f"/containers/{identity}/start", status=204)
        code = self("POST", f"/containers/{identity}/wait").json["StatusCode"]
        return code, demultiplex(self("GET", f"/containers/{identity}/logs", stdout=1, stderr=1).body)

    def take_over(self, path: str, body: Any = None, **query: Any) -> tuple[socket.socket, bytes]:
        """Send a POST that takes the connection over. Returns the socket, and the head of the answer."""
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(30)
        link.connect(str(self.path))
        data = json.dumps(body).encode() if body is not None else b""
        target = f"/v{self.version}{path}?{urlencode(query)}"
        link.sendall(
            f"POST {target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode()
            + data
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = link.recv(1)
            assert byte, head
            head += byte
        return link, head


def read_all(link: socket.socket) -> bytes:
    """Return what a taken-over connection still sends, and close it."""
    found = b""
    with link:
        while data := link.recv(1 << 16):
            found += data
    return found


def demultiplex(data: bytes) -> dict[int, bytes]:
    """Return the bytes of each stream."""
    found: dict[int, bytes] = {}
    while data:
        stream, length = struct.unpack(">BxxxI", data[:8])
        found[stream] = found.get(stream, b"") + data[8 : 8 + length]
        data = data[8 + length :]
    return found

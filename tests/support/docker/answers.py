"""A Docker daemon that only answers: the real `docker` formats what it is given, so it is the oracle of formats.

The client connects to a UNIX socket; each path has one JSON document as its answer.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any

API_VERSION = "1.45"


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    answers: Mapping[str, Any]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def address_string(self) -> str:
        return "client"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].removeprefix(f"/v{API_VERSION}")
        code, document = 200, self.server.answers.get(path, {})
        if path != "/_ping" and path not in self.server.answers:
            code, document = 404, {"message": f"No such thing: {path}"}
        body = json.dumps(document).encode()
        self.send_response(code)
        for name, text in (("API-Version", API_VERSION), ("Content-Type", "application/json")):
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 -- http.server calls it


@contextlib.contextmanager
def docker_with(answers: Mapping[str, Any]) -> Iterator[Docker]:
    """Serve the answers; yield the client that asks for them."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "socket")
        with _Server(str(path), _Handler) as server:
            server.answers = answers
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            try:
                yield Docker(path)
            finally:
                server.shutdown()
                thread.join()


class Docker:
    """The `docker` command line, connected to a socket."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["docker", "--host", f"unix://{self._socket}", *words]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self._socket.parent), "DOCKER_CONFIG": "/nonexistent"}
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=30, check=False)

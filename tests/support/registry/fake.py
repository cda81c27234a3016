"""A registry in this process that can misbehave: real HTTP on loopback, one thread a connection."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.archives.make import MANIFEST, make_config, sha256

LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"


@dataclass
class Seen:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = field(default=b"", repr=False)


class Handler(BaseHTTPRequestHandler):
    """Answers from the fake's tables, unless the fake's `hook` has answered."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *words: object) -> None:
        """Quiet."""

    def handle_any(self) -> None:
        fake = self.server.fake
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        seen = Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        fake.seen.append(seen)
        if fake.hook is not None and fake.hook(self, seen):
            return
        fake.answer(self, seen)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = handle_any  # noqa: N815 -- http.server's names

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A whole answer; `_` in a header's name stands for `-`."""
        self.send_response(status)
        headers.setdefault("Content_Length", str(len(body)))
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def cut(self) -> None:
        """End the connection in the middle."""
        self.wfile.flush()
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    fake: FakeRegistry

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are part of the tests."""


class FakeRegistry:
    """Blobs by digest, manifests by `PATH:TARGET`. Start and stop it; the port stays the same."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.uploads: dict[str, bytes] = {}
        self.seen: list[Seen] = []
        self.hook: Callable[[Handler, Seen], bool] | None = None
        self.port = 0
        self._server: _Server | None = None

    @property
    def host(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> FakeRegistry:
        """Listen."""
        self._server = _Server(("127.0.0.1", self.port), Handler)
        self._server.fake = self
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Listen no more; what is connected stays so. Idempotent."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def count(self, method: str, pattern: str) -> int:
        """How many requests there were."""
        return sum(seen.method == method and re.search(pattern, seen.path) is not None for seen in self.seen)

    def add(self, name: str, tars: list[bytes], blobs: list[bytes] | None = None, architecture: str = "") -> str:
        """An image of these layers (`blobs`: their compressed forms) as `PATH:TAG`; its manifest's digest."""
        config = make_config(tars, architecture)
        layers = blobs or tars
        for data in (config, *layers):
            self.blobs[sha256(data)] = data
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": describe(config, CONFIG),
            "layers": [describe(layer, LAYER_GZIP) for layer in layers],
        }
        return self.put(name, json.dumps(document).encode(), MANIFEST)

    def put(self, name: str, data: bytes, media_type: str) -> str:
        """A manifest under a tag, and under its digest."""
        digest = sha256(data)
        self.manifests[name] = self.manifests[f"{name.partition(':')[0]}:{digest}"] = (media_type, data)
        return digest

    def answer(self, handler: Handler, seen: Seen) -> None:
        """As a registry should."""
        url = urllib.parse.urlsplit(seen.path)
        path, query = url.path, dict(urllib.parse.parse_qsl(url.query))
        if path == "/v2/":
            handler.reply(200, b"{}")
        elif match := re.fullmatch(r"/v2/(.+)/manifests/(.+)", path):
            self._manifest(handler, seen, match[1], match[2])
        elif match := re.fullmatch(r"/v2/(.+)/blobs/(sha256:\w+)", path):
            self._blob(handler, seen, match[2])
        elif match := re.fullmatch(r"/v2/(.+)/blobs/uploads/(\w*)", path):
            self._upload(handler, seen, match[1], match[2], query)
        else:
            handler.reply(404)

    def _manifest(self, handler: Handler, seen: Seen, path: str, target: str) -> None:
        if seen.method == "PUT":
            self.put(f"{path}:{target}", seen.body, seen.headers["content-type"])
            handler.reply(201)
            return
        found = self.manifests.get(f"{path}:{target}")
        if found is None:
            body = json.dumps({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}).encode()
            handler.reply(404, body)
            return
        media_type, data = found
        handler.reply(200, data, Content_Type=media_type, Docker_Content_Digest=sha256(data))

    def _blob(self, handler: Handler, seen: Seen, digest: str) -> None:
        data = self.blobs.get(digest)
        if data is None:
            handler.reply(404)
            return
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", seen.headers.get("range", ""))
        if match is None:
            handler.reply(200, data)
            return
        start, last = int(match[1]), int(match[2] or len(data) - 1)
        handler.reply(206, data[start : last + 1], Content_Range=f"bytes {start}-{last}/{len(data)}")

    def _upload(self, handler: Handler, seen: Seen, path: str, name: str, query: dict[str, str]) -> None:
        if seen.method == "POST":
            if query.get("mount") in self.blobs:
                handler.reply(201, Location=f"/v2/{path}/blobs/{query['mount']}")
                return
            name = f"u{len(self.uploads)}"
            self.uploads[name] = b""
        elif name not in self.uploads:
            handler.reply(404)
            return
        location = f"/v2/{path}/blobs/uploads/{name}?state=x"
        if seen.method == "PATCH":
            start = int(seen.headers["content-range"].partition("-")[0])
            if start != len(self.uploads[name]):
                handler.reply(416)
                return
            self.uploads[name] += seen.body
        elif seen.method == "PUT":
            data = self.uploads.pop(name) + seen.body
            if sha256(data) != query["digest"]:
                handler.reply(400)
                return
            self.blobs[query["digest"]] = data
            handler.reply(201, Location=f"/v2/{path}/blobs/{query['digest']}")
            return
        last = max(0, len(self.uploads[name]) - 1)
        handler.reply(204 if seen.method == "GET" else 202, Location=location, Range=f"0-{last}")


def describe(data: bytes, media_type: str) -> dict[str, object]:
    """A descriptor."""
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}

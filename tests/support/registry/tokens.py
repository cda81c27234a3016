"""A token server for docker-registry's token authentication (distribution, "Token Authentication Implementation")."""

from __future__ import annotations

import base64
import json
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.registry.real import need
from tests.support.registry.wire import serving

SERVICE, ISSUER = "test-registry", "test-issuer"
# How long after their end docker-registry still takes tokens.
LEEWAY_S = 60


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenServer:
    """Gives whoever asks a token for what he asks. `lives` holds how many seconds the next ones live; then 300."""

    def __init__(self, directory: Path) -> None:
        """Makes its key in the new `directory`."""
        directory.mkdir()
        self._key = directory / "key.pem"
        self.certificate = directory / "certificate.pem"
        subprocess.run(
            [need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self._key, "-out",
             self.certificate, "-days", "2", "-subj", "/CN=token server"],
            check=True, capture_output=True,
        )  # fmt: skip
        self.lives: list[float] = []
        self.given: list[float] = []
        self.realm = ""

    def token(self, scopes: list[str], life_s: float) -> str:
        """A JSON Web Token, RS256 (RFC 7515)."""
        der = "".join(self.certificate.read_text().splitlines()[1:-1])
        now = time.time()
        access = [dict(zip(("type", "name"), scope.split(":"), strict=False)) for scope in scopes]
        for item, scope in zip(access, scopes, strict=True):
            item["actions"] = scope.rpartition(":")[2].split(",")  # type: ignore[assignment]  # a list
        claims = {
            "iss": ISSUER, "sub": "", "aud": SERVICE, "exp": int(now + life_s), "nbf": int(now) - 600, "iat": int(now),
            "jti": str(now), "access": access,
        }  # fmt: skip
        head = {"typ": "JWT", "alg": "RS256", "x5c": [der]}
        signed = ".".join(_text(json.dumps(part).encode()) for part in (head, claims))
        signature = subprocess.run(
            [need("openssl"), "dgst", "-sha256", "-sign", self._key],
            input=signed.encode(), check=True, capture_output=True,
        ).stdout  # fmt: skip
        self.given.append(life_s)
        return f"{signed}.{_text(signature)}"


@contextmanager
def token_server(directory: Path) -> Iterator[TokenServer]:
    """A token server that runs for the length of the block, on this machine."""
    found = TokenServer(directory)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            """Quiet."""

        def do_GET(self) -> None:
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            life_s = found.lives.pop(0) if found.lives else 300
            # What it says about the token's life is a lie where the token is short-lived: clocks differ.
            body = json.dumps({"token": found.token(query.get("scope", []), life_s), "expires_in": 300}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.realm = f"http://127.0.0.1:{server.server_address[1]}/token"
    with serving(server):
        yield found

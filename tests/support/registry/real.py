"""A real registry (Debian's docker-registry) on this machine, with and without logins and TLS."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

USER, PASSWORD = "alice", "correct horse: battery"
_LINE = re.compile(r'"([A-Z]+) (/v2/\S*) HTTP/1\.1" (\d+) (\d+)')


def need(program: str) -> str:
    """The path of a program, or a skip that names it."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Exchange:
    """One line of the registry's access log."""

    method: str
    path: str
    status: int
    bytes: int


class RealRegistry:
    """One docker-registry below `directory`."""

    def __init__(
        self,
        directory: Path,
        *,
        login: bool = False,
        tls: bool = False,
        realm: str = "",
        tokens: Mapping[str, object] | None = None,
        names: Sequence[str] = (),
    ) -> None:
        """`realm`: of a token server that is never asked; `tokens`: the whole of `auth.token` in the configuration;
        `names`: other hosts that the certificate is for."""
        self._names = names
        self.program = need("docker-registry")
        self.directory = directory
        directory.mkdir()
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.ca = directory / "ca.pem" if tls else None
        self._log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        lines = ["version: 0.1", "log: {level: info, formatter: text}"]
        lines += [f'storage: {{filesystem: {{rootdirectory: "{directory}/data"}}}}']
        lines += [f'http: {{addr: "{self.host}"' + (f", tls: {self._certificate()}" if tls else "") + "}"]
        if login:
            hashed = subprocess.run(
                [need("htpasswd"), "-niB", USER], input=PASSWORD, capture_output=True, text=True, check=True
            ).stdout
            (directory / "htpasswd").write_text(hashed)
            lines += [f'auth: {{htpasswd: {{realm: test, path: "{directory}/htpasswd"}}}}']
        if realm:
            bundle = f"{directory}/ca.pem"
            lines += [f'auth: {{token: {{realm: "{realm}", service: s, issuer: i, rootcertbundle: "{bundle}"}}}}']
        if tokens is not None:
            lines += ["auth: {token: " + json.dumps({name: str(text) for name, text in tokens.items()}) + "}"]
        (directory / "config.yml").write_text("\n".join(lines))

    def _certificate(self) -> str:
        """A CA of our own, and a certificate by it for this machine."""

        def openssl(*words: str) -> None:
            subprocess.run([need("openssl"), *words], check=True, capture_output=True, cwd=self.directory)

        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        openssl(
            "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test CA",
            "-addext", "keyUsage=critical,keyCertSign",
        )  # fmt: skip
        openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=server")
        (self.directory / "names").write_text(
            ",".join(["subjectAltName=IP:127.0.0.1,DNS:localhost", *(f"DNS:{name}" for name in self._names)])
        )
        openssl(
            "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-extfile", "names", "-out", "server.pem",
        )  # fmt: skip
        return f'{{certificate: "{self.directory}/server.pem", key: "{self.directory}/server.key"}}'

    def start(self) -> None:
        """Start it and wait until it listens."""
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                [self.program, "serve", str(self.directory / "config.yml")], stdout=log, stderr=log,
                env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"},
            )  # fmt: skip
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self._process.poll() is None, self._log.read_text()
            time.sleep(0.05)
        raise AssertionError(f"docker-registry does not listen: {self._log.read_text()}")

    def kill(self) -> None:
        """As the machine's end would be."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    @property
    def seen(self) -> int:
        """How much of the log there is: for `exchanges`."""
        return self._log.stat().st_size

    def exchanges(self, since: int = 0) -> list[Exchange]:
        """What was asked and answered, but for bare `/v2/`."""
        time.sleep(0.1)  # a line is written after its answer
        text = self._log.read_bytes()[since:].decode()
        found = (Exchange(m[1], m[2], int(m[3]), int(m[4])) for m in _LINE.finditer(text))
        return [exchange for exchange in found if exchange.path != "/v2/"]

    def blobs_fetched(self, since: int) -> list[Exchange]:
        """The GETs of blobs among them."""
        return [e for e in self.exchanges(since) if e.method == "GET" and "/blobs/sha256:" in e.path]


@contextmanager
def running(directory: Path, **options: Any) -> Iterator[RealRegistry]:
    """A registry that runs for the length of the block."""
    registry = RealRegistry(directory, **options)
    registry.start()
    try:
        yield registry
    finally:
        registry.kill()

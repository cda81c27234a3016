"""A server of the Docker Engine API for each test, on a store with the image `small`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay
from tests.support.docker.client import Client


class Server:
    """A running `rootlay api`."""

    def __init__(self, command: Rootlay, socket: Path) -> None:
        self.command = command
        self.socket = socket
        self.url = f"unix://{socket}"
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        environ = {**os.environ, "ROOTLAY_ROOT": str(self.command.root)}
        process = subprocess.Popen(
            [sys.executable, "-m", "rootlay.cli.main", "api", "--socket", str(self.socket)],
            env=environ, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        assert line == f"DOCKER_HOST=unix://{self.socket}\n"
        return process

    def kill(self) -> None:
        """Kill the server, and nothing else."""
        self.process.kill()
        self.process.wait(10)
        if self.process.stdout:
            self.process.stdout.close()

    def restart(self) -> None:
        self.process = self.start()

    def client(self) -> Client:
        return Client(self.socket)

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(10) == 0
        if self.process.stdout:
            self.process.stdout.close()


def eventually(check: Callable[[], object], what: str, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture
def socket_path() -> Iterator[Path]:
    """A path that is short enough for a socket; a temporary directory of pytest might not be."""
    place = "/tmp" if os.access("/tmp", os.W_OK) else None  # read-only for some runs as root
    with tempfile.TemporaryDirectory(prefix="rl-", dir=place) as directory:
        yield Path(directory) / "d.sock"


@pytest.fixture
def server(small: Rootlay, socket_path: Path) -> Iterator[Server]:
    running = Server(small, socket_path)
    yield running
    running.close()


@pytest.fixture
def api(server: Server) -> Client:
    return server.client()

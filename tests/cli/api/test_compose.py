"""docker compose with a database, a cache, a web application and a worker, built from Debian packages by the same file.

ROOTLAY_TEST_LONG=1 ROOTLAY_TEST_DEBIAN=debian.tar ROOTLAY_TEST_NETWORK=1 tests/run tests/cli/api/test_compose.py
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.api.conftest import Server
from tests.cli.conftest import Rootlay
from tests.cli.test_monitors import family, state
from tests.support.docker.client import Client

PROJECT = Path(__file__).parents[2] / "support/compose"
pytestmark = [
    pytest.mark.programs,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("docker") is None, reason="docker (Debian: docker-cli) is not installed"),
    pytest.mark.skipif(not os.environ.get("ROOTLAY_TEST_NETWORK"), reason="ROOTLAY_TEST_NETWORK is not set"),
    pytest.mark.long_form,
    pytest.mark.skipif(not os.environ.get("ROOTLAY_TEST_LONG"), reason="ROOTLAY_TEST_LONG is not set"),
]


class Shop:
    """The project, in a directory of its own, with a server."""

    def __init__(self, server: Server, home: Path) -> None:
        self.server = server
        self.home = home
        shutil.copytree(PROJECT, home / "shop")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.environ = {
            **os.environ, "DOCKER_HOST": server.url, "DOCKER_CONFIG": str(home / ".docker"), "DOCKER_BUILDKIT": "0",
            "HOME": str(home), "COMPOSE_ANSI": "never", "COMPOSE_PROGRESS": "plain", "WEB_PORT": str(self.port),
        }  # fmt: skip

    def command(self, *words: str) -> list[str]:
        return ["docker", "compose", *words]

    def __call__(self, *words: str, timeout_s: float = 300) -> str:
        done = subprocess.run(
            self.command(*words), capture_output=True, text=True, check=False, timeout=timeout_s, env=self.environ,
            cwd=self.home / "shop",
        )  # fmt: skip
        assert done.returncode == 0, (words, done.stdout[-3000:], done.stderr[-3000:])
        return done.stdout

    def http(self, path: str, method: str = "GET") -> str:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            text: str = answer.read().decode()
            return text

    def add(self, word: str) -> None:
        """Add a word; repeat until it is accepted."""
        eventually(lambda: self.http(f"/add/{word}", "POST") == "queued", f"{word} is not accepted")

    def await_count(self, count: int) -> None:
        eventually(lambda: self.http("/count") == str(count), f"not {count} words")


def eventually(what: Callable[[], bool], message: str, limit_s: float = 120) -> None:
    deadline = time.monotonic() + limit_s
    while True:
        with contextlib.suppress(OSError):
            if what():
                return
        assert time.monotonic() < deadline, message
        time.sleep(0.2)


@pytest.fixture
def shop(debian: Rootlay, socket_path: Path, tmp_path: Path) -> Iterator[Shop]:
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose (Debian: docker-compose) is not installed")
    server = Server(debian, socket_path)
    made = Shop(server, tmp_path)
    made("build", "-q", timeout_s=900)
    yield made
    made("down", "-v", "-t", "5")
    server.close()


@pytest.mark.timeout(1200)
def test_a_day_of_a_project(shop: Shop) -> None:
    shop("up", "-d")
    shown = shop("ps", "--format", "{{.Service}} {{.State}} {{.Health}}")
    assert sorted(shown.split("\n"))[1:] == [
        "cache running healthy", "db running healthy", "web running healthy", "worker running ",
    ]  # fmt: skip
    for number in range(5):
        shop.add(f"word{number}")
    shop.await_count(5)
    with subprocess.Popen(
        shop.command("logs", "-f", "worker"),
        stdout=subprocess.PIPE,
        text=True,
        env=shop.environ,
        cwd=shop.home / "shop",
    ) as follower:
        assert follower.stdout is not None
        threading.Timer(1.0, shop.add, ("late",)).start()
        assert any("stored late" in line for line in follower.stdout)
        follower.terminate()
    query = ("psql", "-h", "/var/run/postgresql", "-U", "postgres", "-Atc", "select count(*) from words")
    assert shop("exec", "-T", "db", *query) == "6\n"
    assert (
        shop("exec", "-T", "-u", "postgres", "db", "stat", "-c", "%U %a", "/var/lib/postgresql/data")
        == "postgres 700\n"
    )
    assert shop("exec", "-T", "web", "id", "-u") == "1000\n"
    shop("restart", "-t", "10", "db", "cache")
    shop.add("after")
    shop.await_count(7)
    shop("down", "-t", "10")
    shop("up", "-d")
    shop.await_count(7)
    shop("down", "-v", "-t", "10")
    assert shop.server.command.out("ps", "-aq") == shop.server.command.out("volume", "ls", "-q") == ""
    assert shop.server.command.out("network", "ls", "-q", "--filter", "type=custom") == ""
    assert shop.server.command.out("fsck").strip() == "nothing wrong was found"


@pytest.mark.timeout(3000)
@pytest.mark.long_form
def test_the_server_and_monitors_are_killed_at_random(shop: Shop) -> None:
    """Seeded; the long form makes more kills. Every word that was accepted is stored, and every container runs on."""
    kills = 60 if os.environ.get("ROOTLAY_TEST_LONG") else 8
    shop("up", "-d")
    chosen = random.Random(15)
    api = Client(shop.server.socket)
    names = [each["Names"][0][1:] for each in api("GET", "/containers/json").json]

    def pids() -> list[int]:
        return [int(api("GET", f"/containers/{name}/json").json["State"]["Pid"]) for name in sorted(names)]

    def both(name: str) -> list[int]:
        return family(state(shop.server.command, name))

    before = pids()
    assert len(before) == 4
    for number in range(kills):
        victim = chosen.choice(("server", "monitor", "heir"))
        if victim == "server":
            shop.server.kill()
            shop.server.restart()
        else:
            name = chosen.choice(names)
            eventually(lambda name=name: len(both(name)) == 2, f"the program of {name} has no heir")  # type: ignore[misc]
            os.kill(both(name)[victim == "heir"], signal.SIGKILL)
        shop.add(f"kill{number}")
    shop.await_count(kills)
    assert pids() == before, "no program was restarted or lost"
    logs = shop("logs", "--no-log-prefix", "worker").replace("\x1b[2K", "").split("\n")  # compose clears lines
    assert [line for line in logs if line.startswith("stored")] == [f"stored kill{number}" for number in range(kills)]
    shop("restart", "-t", "10")
    shop.await_count(kills)
    shop("down", "-v", "-t", "10")
    assert shop.server.command.out("fsck").strip() == "nothing wrong was found"

"""Many containers, and many connections at a time: nothing is lost, and the server does not grow."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cli.api.conftest import Server
from tests.cli.test_run import wait_for
from tests.support.docker.client import Client, UnixConnection

AT_A_TIME = 20
GROWTH_BYTES = 4 << 20
CALL_S = 0.010


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def one_life(api: Client, number: int) -> bytes:
    identity = api.create("sh", "-c", f"echo {number}", timeout_s=120)
    api("POST", f"/containers/{identity}/start", timeout_s=120)
    assert api("POST", f"/containers/{identity}/wait", timeout_s=120).json["StatusCode"] == 0
    return api("GET", f"/containers/{identity}/logs", stdout=1, timeout_s=120).body[8:]


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_containers_started_at_a_time(server: Server, count: int) -> None:
    api = server.client()
    one_life(api, 0)
    before = resident(server.process.pid)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        said = list(pool.map(lambda number: one_life(api, number), range(count)))
    assert said == [f"{number}\n".encode() for number in range(count)]
    assert len(api("GET", "/containers/json", all=1).json) == count + 1
    assert resident(server.process.pid) - before < GROWTH_BYTES
    api("POST", "/containers/prune", timeout_s=120)
    assert api("GET", "/containers/json", all=1).json == []
    assert server.command.out("fsck").strip() == "nothing wrong was found"


def test_a_call_takes_little_time(server: Server) -> None:
    """The best of many: others use the machine, too."""
    first = best(lambda: server.client()("GET", "/_ping"))
    connection = UnixConnection(server.socket)

    def again() -> None:
        connection.request("GET", "/v1.47/version")
        connection.getresponse().read()

    later = best(again)
    connection.close()
    assert first < CALL_S, first
    assert later < CALL_S, later


def best(work: Callable[[], object]) -> float:
    """The shortest time of a call, in seconds; more calls are made while it is too long, for half a minute."""
    found, deadline = CALL_S, time.monotonic() + 30
    while found >= CALL_S and time.monotonic() < deadline:
        for _ in range(50):
            begin = time.perf_counter()
            work()
            found = min(found, time.perf_counter() - begin)
    return found


def children(server: Server) -> set[str]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[1] == str(server.process.pid):
                found.add(stat.parent.name)
    return found


def test_a_child_serves_one_connection_after_the_other(server: Server) -> None:
    """It waits for the next one if nothing is left of the last; of many that come together four go on."""
    seen: set[str] = set()
    for _ in range(30):
        assert server.client()("GET", "/_ping").status == 200
        seen |= children(server)
    assert len(seen) < 10
    links = [UnixConnection(server.socket) for _ in range(12)]
    for link in links:
        link.request("GET", "/_ping")
        link.getresponse().read()
    assert len(children(server)) >= 12
    for link in links:
        link.close()
    wait_for(lambda: len(children(server)) <= 4, "children are left")
    waiting = children(server)
    for pid in waiting:
        os.kill(int(pid), signal.SIGKILL)
    wait_for(lambda: waiting.isdisjoint(children(server)), "a child does not end")
    assert server.client()("GET", "/_ping").status == 200

"""What does the Engine API add to a call, what does it need for 200 containers, and how fast do they start?

    python -m bench.api DEBIAN.tar [-n 20] [--containers 200]

For each call: milliseconds of the same answer by the library in this process, and by the server on an open connection
and on a new one, interleaved. Then containers are started and stopped, 20 at a time: containers a second, memory of the
server before and after, memory of the processes next to each container (their share of pages, Pss), and `ps`.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from bench.harness import Figures, make_parser, run
from rootlay.store.containers.containers import Containers
from rootlay.vfs import Store
from rootlay.vfs.docker.containers import inspect_container, summarize_container

AT_A_TIME = 20
LIBRARY, OPEN, NEW = "library", "open connection", "new connection"


class Connection(http.client.HTTPConnection):
    """A connection to a UNIX socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=600)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def call(path: str, method: str, target: str, body: Any = None, kept: Connection | None = None) -> Any:
    link = kept or Connection(path)
    data = json.dumps(body) if body is not None else None
    link.request(method, f"/v1.47{target}", data, {"Content-Type": "application/json"} if data else {})
    answer = link.getresponse()
    text = answer.read()
    if kept is None:
        link.close()
    if answer.status >= 400:
        raise RuntimeError(f"{method} {target}: {text!r}")
    return json.loads(text) if text[:1] in (b"{", b"[") else text


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


def share_mb(pids: set[int]) -> float:
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1e3


def around(pids: list[int]) -> set[int]:
    """The monitors and heirs of programs: their parents and grandparents, and these ones' other children."""
    found: set[int] = set()
    for pid in pids:
        monitor = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        heir = int(Path(f"/proc/{monitor}/stat").read_text().rsplit(")", 1)[1].split()[1])
        for each in (monitor, heir) if heir > 1 else (monitor,):
            found.add(each)
            found.update(map(int, Path(f"/proc/{each}/task/{each}/children").read_text().split()))
    return found - set(pids)


def calls(figures: Figures, rounds: int, root: Path, path: str) -> None:
    kept = Connection(path)
    identity = call(path, "POST", "/containers/create", {"Image": "debian", "Cmd": ["true"]})["Id"]
    containers = Containers(root)
    rows: dict[str, tuple[str, Callable[[], object]]] = {
        "ping": ("/_ping", lambda: None),
        "inspect": (f"/containers/{identity}/json", lambda: json.dumps(inspect_container(containers.find(identity)))),
        "list": (
            "/containers/json?all=1",
            lambda: json.dumps([summarize_container(record) for record in containers.iter_all()]),
        ),
    }
    for number in range(rounds + 1):
        for row, (target, library) in rows.items():
            figures.time(row, LIBRARY, library, warm=number == 0)
            figures.time(row, OPEN, partial(call, path, "GET", target, kept=kept), warm=number == 0)
            figures.time(row, NEW, partial(call, path, "GET", target), warm=number == 0)
    for row in rows:
        for column in (OPEN, NEW):
            added = figures.wall(row, column) - figures.wall(row, LIBRARY)
            median = figures.median(row, column) - figures.median(row, LIBRARY)
            print(f"{row:10} {column:16} adds min {added * 1e3:6.2f} ms   median {median * 1e3:6.2f} ms")
    call(path, "DELETE", f"/containers/{identity}")


def many(figures: Figures, count: int, server: int, path: str, ps: list[str]) -> None:
    def start(number: int) -> str:
        made: str = call(
            path, "POST", f"/containers/create?name=n{number}", {"Image": "debian", "Cmd": ["sleep", "900"]}
        )["Id"]
        call(path, "POST", f"/containers/{made}/start")
        return made

    before = resident_mb(server)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        begun = time.monotonic()
        made = list(pool.map(start, range(count)))
        took = time.monotonic() - begun
        print(f"create and start of {count}, {AT_A_TIME} at a time: {count / took:.1f} a second")
        pids = [call(path, "GET", f"/containers/{each}/json")["State"]["Pid"] for each in made]
        time.sleep(4)  # until their hydrators have ended
        near = around(pids)
        print(f"processes next to a container: {len(near) / count:.2f}, {share_mb(near) / count:.3f} MB for each")
        for number in range(4):
            figures.time("ps", "", partial(subprocess.run, ps, check=True, stdout=subprocess.DEVNULL), warm=number == 0)
        print(f"ps with {count} running: min {figures.wall('ps') * 1e3:.0f} ms")
        begun = time.monotonic()
        list(pool.map(lambda each: call(path, "POST", f"/containers/{each}/stop?t=5"), made))
        print(f"stop of {count}, {AT_A_TIME} at a time: {count / (time.monotonic() - begun):.1f} a second")
        list(pool.map(lambda each: call(path, "DELETE", f"/containers/{each}?force=1"), made))
    print(f"memory of the server: {before:.1f} MB before, {resident_mb(server):.1f} MB after")


def measure(options: argparse.Namespace, figures: Figures) -> None:
    with tempfile.TemporaryDirectory(prefix="rl-bench-", dir="/tmp") as scratch:
        root, path = Path(scratch, "store"), f"{scratch}/d.sock"
        Store.open(root).import_rootfs(options.debian, "debian")
        environ = {**os.environ, "ROOTLAY_ROOT": str(root)}
        rootlay = [sys.executable, "-m", "rootlay.cli.main"]
        with subprocess.Popen([*rootlay, "api", "--socket", path], env=environ, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None
            server.stdout.readline()
            os.environ["ROOTLAY_ROOT"] = str(root)
            calls(figures, options.rounds, root, path)
            many(figures, options.containers, server.pid, path, [*rootlay, "ps", "-q"])
            server.terminate()


def main() -> None:
    parser = make_parser(__doc__, rounds=20)
    parser.add_argument("debian", type=Path)
    parser.add_argument("--containers", type=int, default=200)
    run(parser, measure)


if __name__ == "__main__":
    main()

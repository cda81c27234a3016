"""What does a Python HTTP client cost while it streams one large body, and to import?

    pip install urllib3 httpx requests; python bench/httpclient.py [-n MIB]

The server is a process of its own on loopback. CPU is this process's alone. Interleaved rounds, the best one counts.
Decides docs/adr/0007-urllib3.md.
"""

from __future__ import annotations

import argparse
import http.server
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

CHUNK_BYTES = 1 << 18
ROUNDS = 3


class Handler(http.server.BaseHTTPRequestHandler):
    mib = 400

    def log_message(self, *words: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(self.mib << 20))
        self.end_headers()
        for _ in range(self.mib):
            self.wfile.write(bytes(1 << 20))


def by_urllib3(url: str) -> Iterator[bytes]:
    import urllib3

    response = urllib3.PoolManager().urlopen("GET", url, preload_content=False, decode_content=False)
    return iter(partial(response.read, CHUNK_BYTES), b"")


def by_httpx(url: str) -> Iterator[bytes]:
    import httpx

    with httpx.stream("GET", url) as response:
        yield from response.iter_raw(CHUNK_BYTES)


def by_requests(url: str) -> Iterator[bytes]:
    import requests

    return iter(requests.get(url, stream=True, timeout=60).iter_content(CHUNK_BYTES))


def measure(read: Callable[[str], Iterator[bytes]], url: str) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in read(url):
        pass
    return time.perf_counter() - wall, time.process_time() - cpu


def import_ms(module: str) -> float:
    """The time that importing takes beyond that of an empty program."""

    def run(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return (time.perf_counter() - start) * 1e3

    return min(run(f"import {module}") for _ in range(10)) - min(run("pass") for _ in range(10))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=400, help="MiB (400)")
    Handler.mib = parser.parse_args().n
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    multiprocessing.get_context("fork").Process(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    clients = {"urllib3": by_urllib3, "httpx": by_httpx, "requests": by_requests}
    best = dict.fromkeys(clients, (9e9, 9e9))
    for _ in range(ROUNDS):
        for name, read in clients.items():
            best[name] = min(best[name], measure(read, url))
    for name, (wall_s, cpu_s) in best.items():
        print(
            f"{name:10} {Handler.mib} MiB: {wall_s:5.2f} s wall, {cpu_s:5.2f} s CPU; import {import_ms(name):4.0f} ms"
        )


if __name__ == "__main__":
    main()

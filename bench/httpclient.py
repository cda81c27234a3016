"""What does a Python HTTP client cost while it streams one large body, and to import?

    pip install urllib3 httpx requests; python -m bench.httpclient [-n 3] [--mib 400]

The server is a process of its own on loopback; its processor time is not counted. The baseline of an import is `pass`.
Decides docs/adr/0007-urllib3.md.
"""

from __future__ import annotations

import argparse
import http.server
import importlib.util
import multiprocessing
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial

from bench.harness import Figures, make_parser, run

CHUNK_BYTES = 1 << 18


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


def read_all(read: Callable[[str], Iterator[bytes]], url: str) -> None:
    for _ in read(url):
        pass


def measure(options: argparse.Namespace, figures: Figures) -> None:
    Handler.mib = options.mib
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = multiprocessing.get_context("fork").Process(target=server.serve_forever, daemon=True)
    serving.start()
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    every = {"urllib3": by_urllib3, "httpx": by_httpx, "requests": by_requests}
    clients = {name: read for name, read in every.items() if importlib.util.find_spec(name)}
    for _ in range(options.rounds):
        for name, read in clients.items():
            figures.time(f"{options.mib} MiB", name, partial(read_all, read, url))
        for name in ("pass", *(f"import {client}" for client in clients)):
            figures.time(name, "", partial(subprocess.run, [sys.executable, "-c", name], check=True))
    serving.kill()
    figures.print_tables()


def main() -> None:
    parser = make_parser(__doc__, rounds=3)
    parser.add_argument("--mib", type=int, default=400, help="size of the body in MiB (400)")
    run(parser, measure)


if __name__ == "__main__":
    main()

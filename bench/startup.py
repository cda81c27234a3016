"""What does `rootlay run IMAGE /bin/true` cost, as a multiple of `python3 -c pass` in the same interpreter?

    python -m bench.startup DEBIAN.tar [-n 20]

Interleaved rounds; also the creation of a container by itself, through the Python API (ms).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from bench.harness import Figures, make_parser, run
from rootlay.vfs import Store

BASE = "python3 -c pass"
CREATE = "create a container (API)"


def measure(options: argparse.Namespace, figures: Figures) -> None:
    rootlay = str(Path(sys.executable).with_name("rootlay"))
    with tempfile.TemporaryDirectory(prefix="rootlay-bench-") as scratch:
        environ = {**os.environ, "ROOTLAY_ROOT": scratch}
        store = Store.open(scratch)
        image = store.import_rootfs(options.debian, "debian")
        commands = {
            BASE: [sys.executable, "-c", "pass"],
            "rootlay run --rm debian /bin/true": [rootlay, "run", "--rm", "debian", "/bin/true"],
            "rootlay run --rm host /bin/true": [rootlay, "run", "--rm", "host", "/bin/true"],
            "rootlay exec NAME /bin/true": [rootlay, "exec", "kept", "/bin/true"],
            "rootlay images": [rootlay, "images", "-q"],
        }
        image.container("kept").close()
        start = partial(subprocess.run, check=True, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        for number in range(options.rounds + 1):
            for name, command in commands.items():
                figures.time(name, "", partial(start, command), warm=number == 0)
            figures.time(CREATE, "", image.container, warm=number == 0).close()
    for name in (*commands, CREATE):
        report(figures, name)


def report(figures: Figures, name: str) -> None:
    """One line. The first run warms up (hydrates, compiles) and is shown by itself."""
    low, median = figures.wall(name), figures.median(name)
    first = figures.of[name, ""].first or 0
    line = f"{name:40} first {first * 1e3:7.1f} ms   min {low * 1e3:7.1f}   median {median * 1e3:7.1f}"
    if name != CREATE:
        line += f"   x{low / figures.wall(BASE):.2f} / x{median / figures.median(BASE):.2f}"
    print(line)


def main() -> None:
    parser = make_parser(__doc__, rounds=20)
    parser.add_argument("debian", type=Path)
    run(parser, measure)


if __name__ == "__main__":
    main()

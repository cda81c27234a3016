"""What does `rootlay run IMAGE /bin/true` cost, as a multiple of `python3 -c pass` in the same interpreter?

    python bench/startup.py DEBIAN.tar [-n 20]

Interleaved rounds; also the creation of a container by itself, through the Python API (ms).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rootlay.vfs import Store


def timed(command: list[str], environ: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - start) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("debian", type=Path)
    parser.add_argument("-n", type=int, default=20)
    options = parser.parse_args()
    rootlay = str(Path(sys.executable).with_name("rootlay"))
    with tempfile.TemporaryDirectory(prefix="rootlay-bench-") as scratch:
        environ = {**os.environ, "ROOTLAY_ROOT": scratch}
        store = Store.open(scratch)
        image = store.import_rootfs(options.debian, "debian")
        commands = {
            "python3 -c pass": [sys.executable, "-c", "pass"],
            "rootlay run --rm debian /bin/true": [rootlay, "run", "--rm", "debian", "/bin/true"],
            "rootlay run --rm host /bin/true": [rootlay, "run", "--rm", "host", "/bin/true"],
            "rootlay exec NAME /bin/true": [rootlay, "exec", "kept", "/bin/true"],
            "rootlay images": [rootlay, "images", "-q"],
        }
        image.container("kept").close()
        took: dict[str, list[float]] = {name: [] for name in commands}
        create: list[float] = []
        for _ in range(options.n + 1):
            for name, command in commands.items():
                took[name].append(timed(command, environ))
            start = time.perf_counter()
            container = image.container()
            create.append((time.perf_counter() - start) * 1e3)
            container.close()
    base = took["python3 -c pass"][1:]
    for name, runs in took.items():
        report(name, runs, base)
    report("create a container (API)", create, None)


def report(name: str, runs: list[float], base: list[float] | None) -> None:
    """One line. The first run warms up (hydrates, compiles) and is shown by itself."""
    rest = runs[1:]
    line = f"{name:40} first {runs[0]:7.1f} ms   min {min(rest):7.1f}   median {statistics.median(rest):7.1f}"
    if base:
        line += f"   x{min(rest) / min(base):.2f} / x{statistics.median(rest) / statistics.median(base):.2f}"
    print(line)


if __name__ == "__main__":
    main()

"""How many pieces of code run in clean forks in a second, and what do they leave behind?

    python -m bench.sandbox [--runs 2000] [--workers 2] [--image debian] [--store DIR]

Baseline in the same run: `subprocess.run` of the same program on the machine, without any isolation, and `run` in one
container that stays.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rootlay.vfs import Sandbox, Store
from rootlay.vfs.run.processes import iter_guests


def measure(name: str, work: Callable[[], object], runs: int, workers: int) -> None:
    """Print rate, latency and processor time of `work`."""

    def timed(_: int) -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    before, began = cpu_s(), time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        took = sorted(pool.map(timed, range(runs)))
    wall = time.perf_counter() - began
    used = (cpu_s() - before) / runs * 1000
    median, last = statistics.median(took) * 1000, took[min(runs - 1, int(runs * 0.99))] * 1000
    print(f"{name:34} {runs / wall:7.0f}/s  median {median:6.1f} ms  99th {last:6.1f} ms  cpu {used:5.2f} ms each")


def cpu_s() -> float:
    """The processor time of this process and its children, seconds."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def leftovers(store: Store) -> tuple[int, int, int]:
    """The number of containers, of programs in them, and of files in the store's directory for temporary files."""
    containers = store.root / "containers"
    names = [name for name in os.listdir(containers) if len(name) == 64]
    programs = sum(len(list(iter_guests(str(containers / name)))) for name in names)
    return len(names), programs, len(os.listdir(store.root / "tmp"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--store")
    parser.add_argument("--image", default="host")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        store = Store.open(given.store or directory)
        image = store.image(given.image)
        print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, {given.workers} threads")
        plain = ["/bin/true"]
        measure("subprocess.run, no isolation", lambda: subprocess.run(plain, check=True), given.runs, given.workers)
        with image.container(network="none") as c:
            c.run(["/bin/true"])
            measure("run in one container", lambda: c.run(["/bin/true"]), given.runs, given.workers)
        before = leftovers(store)
        with Sandbox(image, setup=["/bin/true"], workers=given.workers) as sandbox:
            sandbox.run(["/bin/true"])
            memory = resident_bytes()
            measure("sandbox, /bin/true", lambda: sandbox.run(["/bin/true"]), given.runs, given.workers)
            script = ["/bin/sh", "-c", "echo x > /tmp/x"]
            measure("sandbox, a file changed", lambda: sandbox.run(script), given.runs // 4, given.workers)
            grown = resident_bytes() - memory
            print(f"memory of this process: {memory >> 20} MiB, grown by {grown / (1 << 20):.1f} MiB")
        after = leftovers(store)
        left = tuple(a - b for a, b in zip(after, before, strict=True))
        print("left over (containers, programs, temporary files):", left)


if __name__ == "__main__":
    main()

"""How long do snapshot, fork and rollback take, by the number of changed files? And a container, made and dropped?

    bench/snapshots.py [--image TREE_OR_TAR] [--counts 10,1000,100000] [--rounds 5]

Baseline, in the same run: a copy (`cp -a`) of the changed files, which is what each would take without layers. Times in
ms, median of the rounds (100,000 files: one round, since making and copying them takes minutes). `cleanup` is the
removal of what a rollback dropped, which goes on beside the caller's work.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from rootlay.vfs import Image, Store

COLUMNS = ("snapshot", "fork", "rollback", "cleanup", "cp -a")
ONE_ROUND = 100_000


def ms(call: Callable[[], object]) -> float:
    start = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start) / 1e6


def small_tree(target: Path) -> Path:
    for number in range(100):
        (target / f"d{number % 10}").mkdir(parents=True, exist_ok=True)
        (target / f"d{number % 10}" / f"f{number}").write_text("x" * 100)
    return target


def wait_for_cleanup(store: Path) -> float:
    """Until the process that empties trash has done so."""

    def wait() -> None:
        while any((store / "tmp").iterdir()):
            time.sleep(0.001)

    return ms(wait)


def change(upper: Path, count: int) -> None:
    """Files as a program in the container would leave them, made directly: the way there is not the question."""
    for number in range(count):
        directory = upper / f"c{number // 1000}"
        if number % 1000 == 0:
            directory.mkdir()
        (directory / f"f{number}").write_text("changed")


def measure(image: Image, count: int, rounds: int, scratch: Path) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in COLUMNS}
    for _ in range(rounds):
        with image.container() as c:
            c.overlay.mkdir("/first")
            c.snapshot("clean")
            change(c.record.upper, count)
            c.overlay.context.upper.announce_all()  # the filter must know what is there
            copy = ["cp", "-a", str(c.record.upper), str(scratch / "copy")]
            times["cp -a"].append(ms(partial(subprocess.run, copy, check=True)))
            shutil.rmtree(scratch / "copy")
            times["snapshot"].append(ms(partial(c.snapshot, "changed")))
            with ExitStack() as forks:
                times["fork"].append(ms(lambda: forks.enter_context(c.fork())))
            c.remove_snapshot("changed")
            times["rollback"].append(ms(partial(c.rollback, "clean")))
            times["cleanup"].append(wait_for_cleanup(image.root))
    return {name: statistics.median(values) for name, values in times.items()}


def measure_container(image: Image, rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {"create + drop": [], "create + first write + drop": [], "fork + write + drop": []}
    kept = image.container("prepared")
    kept.fs.writetext("/data", "prepared")
    for _ in range(rounds * 4):

        def write() -> None:
            with image.container() as c:
                c.fs.writetext("/new", "x")

        def fork() -> None:
            with kept.fork() as c:
                c.fs.writetext("/new", "x")

        times["create + drop"].append(ms(lambda: image.container().close()))
        times["create + first write + drop"].append(ms(write))
        times["fork + write + drop"].append(ms(fork))
    kept.remove()
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--counts", default="10,1000,100000")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        store = Store.open(scratch / "store")
        image = store.import_rootfs(options.image or small_tree(scratch / "tree"), "base")
        print(f"{platform.machine()}, Linux {platform.release()}, Python {platform.python_version()}, ", end="")
        print(f"{os.cpu_count()} cores, image {options.image or 'of 100 files'}\n")
        print("| | min, ms | median, ms |\n|---|---|---|")
        for name, values in measure_container(image, options.rounds).items():
            print(f"| {name} | {min(values):.2f} | {statistics.median(values):.2f} |")
        print("\n| changed files | " + " | ".join(COLUMNS) + " |\n|---|" + "---|" * len(COLUMNS))
        for count in map(int, options.counts.split(",")):
            found = measure(image, count, 1 if count >= ONE_ROUND else options.rounds, scratch)
            print(f"| {count:,} | " + " | ".join(f"{found[name]:,.1f}" for name in COLUMNS) + " |", flush=True)


if __name__ == "__main__":
    main()

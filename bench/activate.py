"""What does an activation cost the code inside it, and the code outside? And making one?

    python -m bench.activate [--rounds 15]

A tree of 2,000 files as an image, and unpacked. Inside `with container.activate()` against the same Python code on the
unpacked tree; with it pyfakefs (if it is installed), and PyFilesystem2's OSFS and MultiFS (two OSFS) on the same tree.
"beside one" is outside while another context is inside. In the same run, interleaved, each after a call that warms
the caches; minimum of the rounds, after one that hydrates: of each hundred files, then their mean, since on a machine
that is busy no round of a thousand is undisturbed. The last table is of a container's whole life.
"""

from __future__ import annotations

import argparse
import contextvars
import importlib
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench.harness import Figures, make_parser, run
from rootlay.vfs import Image, Store

FILES, ENTRIES, MODULES = 1000, 1000, 200
PART = 100
Operation = Callable[[], int]
Operations = dict[str, list[Operation]]
"""By name: its parts, each of which returns how often it has done it."""


def make_tree(target: Path) -> None:
    for number in range(FILES):
        directory = target / f"data/d{number % 10}/e{number // 10 % 10}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"file-{number}").write_bytes(os.urandom(4096))
    (target / "many").mkdir()
    for number in range(ENTRIES):
        (target / f"many/entry-{number}").write_bytes(b"")
    package = target / "site/bench_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    for number in range(MODULES):
        (package / f"m{number}.py").write_text(f"import os\n\ndef f{number}(x):\n    return x + {number}\n" * 8)
    subprocess.run([sys.executable, "-m", "compileall", "-q", "-s", str(target), str(package)], check=True)
    with sqlite3.connect(target / "base.db") as base:
        base.execute("create table t (k integer primary key, v text)")
        base.executemany("insert into t values (?, ?)", [(n, f"value {n}") for n in range(2000)])
    base.close()


def paths(root: str) -> list[str]:
    return [f"{root}/data/d{n % 10}/e{n // 10 % 10}/file-{n}" for n in range(FILES)]


def in_parts(names: list[str], of: Callable[[list[str]], int]) -> list[Operation]:
    return [partial(of, names[at : at + PART]) for at in range(0, len(names), PART)]


def of_python(root: str) -> Operations:
    many, base = f"{root}/many", f"{root}/base.db"

    def stat(names: list[str]) -> int:
        for name in names:
            os.stat(name)
        return len(names)

    def read(names: list[str]) -> int:
        for name in names:
            with open(name, "rb") as file:
                file.read()
        return len(names)

    def scandir() -> int:
        for _ in range(5):
            with os.scandir(many) as entries:
                assert sum(1 for _ in entries) == ENTRIES
        return 5

    def imports() -> int:
        sys.path.insert(0, f"{root}/site")
        importlib.invalidate_caches()
        try:
            for number in range(MODULES):
                importlib.import_module(f"bench_package.m{number}")
        finally:
            del sys.path[0]
            for name in [name for name in sys.modules if name.startswith("bench_package")]:
                del sys.modules[name]
            sys.path_importer_cache.clear()
        return 1

    def query() -> int:
        for key in range(50):
            connection = sqlite3.connect(base)
            connection.execute("select v from t where k = ?", (key * 7,)).fetchone()
            connection.close()
        return 50

    return {
        "stat": in_parts(paths(root), stat),
        "open + read 4 KiB": in_parts(paths(root), read),
        "scandir 1000": [scandir],
        "import of 200 modules": [imports],
        "sqlite: open + query": [query],
    }


def of_filesystem(fs: Any) -> Operations:
    names = paths("")

    def stat() -> int:
        for name in names[:200]:
            fs.getinfo(name, ["stat"])
        return 200

    def read() -> int:
        for name in names[:200]:
            with fs.openbin(name) as file:
                file.read()
        return 200

    def scandir() -> int:
        assert sum(1 for _ in fs.scandir("/many")) == ENTRIES
        return 1

    return {"stat": [stat], "open + read 4 KiB": [read], "scandir 1000": [scandir]}


def of_pyfakefs(tree: Path) -> Operations:
    fakes = importlib.import_module("pyfakefs.fake_filesystem")
    fs = fakes.FakeFilesystem()
    fs.add_real_directory(str(tree), target_path="/tree", lazy_read=False)
    fake_os, fake_open = fakes.FakeOsModule(fs), fakes.FakeFileOpen(fs)
    names = paths("/tree")[:200]

    def stat() -> int:
        for name in names:
            fake_os.stat(name)
        return len(names)

    def read() -> int:
        for name in names:
            with fake_open(name, "rb") as file:
                file.read()
        return len(names)

    def scandir() -> int:
        with fake_os.scandir("/tree/many") as entries:
            assert sum(1 for _ in entries) == ENTRIES
        return 1

    return {"stat": [stat], "open + read 4 KiB": [read], "scandir 1000": [scandir]}


def timed(parts: list[Operation]) -> list[float]:
    took = []
    for operation in parts:
        operation()  # the trees are two: neither is to find the other's in the processor's caches
        start = time.perf_counter()
        count = operation()
        took.append((time.perf_counter() - start) / count * 1e6)
    return took


def compare(figures: Figures, systems: dict[str, Operations], activation: Any, rounds: int) -> None:
    least: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds + 1):
        for system, operations in systems.items():
            for name, operation in operations.items():
                if system.startswith("inside"):
                    with activation():
                        took = timed(operation)
                elif system == "beside one":
                    with activation():  # somebody is inside: the hooks are there
                        took = contextvars.Context().run(timed, operation)
                else:
                    took = timed(operation)
                if number:
                    figures.add(name, system, statistics.mean(took), unit="us")
                    least[system, name] = list(map(min, least.get((system, name), took), took))
    best = {key: statistics.mean(parts) for key, parts in least.items()}
    others = [system for system in systems if system != "bare"]
    print("| | bare, µs | " + " | ".join(f"{system}, x" for system in others) + " |")
    print("|---|---|" + "---|" * len(others))
    for name in systems["bare"]:
        row = [f"{best['bare', name]:,.2f}"]
        for system in others:
            mean = best.get((system, name))
            row.append("" if mean is None else f"{mean / best['bare', name]:.2f}")
        print(f"| {name} | " + " | ".join(row) + " |")


def lives(figures: Figures, image: Image, rounds: int) -> None:
    """Milliseconds of: create, activate and look, drop."""

    def life(*, before: bool = False) -> float:
        start = time.perf_counter()
        with image.container() as container, container.activate():
            os.stat("/base.db")
        return (time.perf_counter() - start) * 1e3

    first = life()
    times = sorted(life() for _ in range(rounds * 4))
    for took in times:
        figures.add("create, activate, stat, drop", "", took, unit="ms")
    with image.container() as container:
        again = []
        for _ in range(rounds * 20):
            start = time.perf_counter()
            with container.activate():
                pass
            again.append((time.perf_counter() - start) * 1e6)
        kept = container.activate()
        with kept:
            nested = []
            for _ in range(rounds * 20):
                start = time.perf_counter()
                with container.activate():
                    pass
                nested.append((time.perf_counter() - start) * 1e6)
    print("\n| | first | min | median |\n|---|---|---|---|")
    print(f"| create, activate, stat, drop: ms | {first:.1f} | {times[0]:.2f} | {times[len(times) // 2]:.2f} |")
    for name, row in (("activate and leave: µs", again), ("the same within another", nested)):
        for took in row[1:]:
            figures.add(name.partition(":")[0], "", took, unit="us")
        print(f"| {name} | {row[0]:,.0f} | {min(row):.1f} | {sorted(row)[len(row) // 2]:.1f} |")


def main() -> None:
    run(make_parser(__doc__, rounds=15), measure)


def measure(options: argparse.Namespace, figures: Figures) -> None:
    rounds = options.rounds
    sys.dont_write_bytecode = True
    base = Path(tempfile.mkdtemp(prefix="rootlay-bench-"))
    try:
        tree = base / "tree"
        tree.mkdir()
        make_tree(tree)
        image = Store.open(base / "store").import_rootfs(tree, "bench")
        from fs.multifs import MultiFS
        from fs.osfs import OSFS

        multi = MultiFS()
        multi.add_fs("tree", OSFS(str(tree)))
        multi.add_fs("empty", OSFS(str(base / "empty"), create=True))
        systems = {
            "bare": of_python(str(tree)),
            "inside": of_python(""),
            "beside one": of_python(str(tree)),
            "OSFS": of_filesystem(OSFS(str(tree))),
            "MultiFS": of_filesystem(multi),
        }
        try:
            systems["pyfakefs"] = of_pyfakefs(tree)
        except ImportError:
            print("pyfakefs is not installed: left out\n")
        with image.container() as container:
            compare(figures, systems, container.activate, rounds)
        lives(figures, image, rounds)
    finally:
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()

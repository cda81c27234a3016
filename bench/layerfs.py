"""What do LayerFS's operations cost, against OSFS on the unpacked tree? And opening an image to read one small file?

    bench/layerfs.py [--entries 22000] [--rounds 5]

A tree of that many entries, once as an image (read-only view, and a container over it whose upper is empty), once
unpacked. Baseline, in the same run: PyFilesystem2's own OSFS on the unpacked tree, in the kernel's cache. Operations
in µs each, walks in ms, CPU time (user and system), minimum of the rounds; in brackets OSFS's time divided by ours.
`first`: by an object that has just been opened. The last table is of new processes, wall time, median of ten; that of
the process's first image has the import of the modules in it.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rootlay.vfs import Store
from rootlay.vfs.pyfs.layerfs import LayerFS

COLD = """
import json, time
start = time.perf_counter()
from rootlay.vfs import Store

def read(name):
    image = Store.open({store!r}).image(name)
    {opening}

read("other")
imported = time.perf_counter()
read("bench")
print(json.dumps([(time.perf_counter() - imported) * 1e3, (imported - start) * 1e3]))
"""
OPENINGS = {
    "open_overlay": "with image.open_overlay() as o, o.open_content('{file}') as f: f.read()",
    "open_fs": "with image.open_fs() as fs: fs.readbytes('{file}')",
    "fsspec": "import fsspec; fsspec.filesystem('rootlay', image=name, store={store!r}).cat_file('{file}')",
}


def make_tree(target: Path, entries: int) -> list[str]:
    """Directories of 20 files, ten directories each level; the paths of the files."""
    files: list[str] = []
    made = 0
    for number in range(entries):
        directory = f"d{number % 10}/e{number // 10 % 10}/s{number // 100}"
        (target / directory).mkdir(parents=True, exist_ok=True)
        for name in range(20):
            path = f"/{directory}/file-{name}.txt"
            (target / path.lstrip("/")).write_bytes(b"x" * 200)
            files.append(path)
        made += 21
        if made >= entries:
            return files
    return files


def per_call(call: Callable[[str], object], paths: list[str], rounds: int) -> float:
    """Microseconds a call, the least of the rounds."""
    best = float("inf")
    for _ in range(rounds):
        gc.collect()
        start = time.process_time()
        for path in paths:
            call(path)
        best = min(best, (time.process_time() - start) / len(paths) * 1e6)
    return best


def read(fs: Any, path: str) -> bytes:
    with fs.openbin(path) as file:
        return bytes(file.read())


def operations(fs: Any) -> dict[str, Callable[[str], object]]:
    return {
        "getinfo": lambda path: fs.getinfo(path),
        "getinfo details": lambda path: fs.getinfo(path, ["details"]),
        "exists": lambda path: fs.exists(path),
        "listdir": lambda path: fs.listdir(path.rpartition("/")[0]),
        "scandir": lambda path: list(fs.scandir(path.rpartition("/")[0])),
        "scandir details": lambda path: list(fs.scandir(path.rpartition("/")[0], ["details"])),
        "openbin": lambda path: fs.openbin(path).close(),
        "openbin + read, 300 small files in random order": lambda path: read(fs, path),
    }


def walks(fs: Any) -> dict[str, Callable[[str], object]]:
    return {
        "walk": lambda _: sum(len(step.files) + len(step.dirs) for step in fs.walk("/")),
        "walk.files": lambda _: sum(1 for _ in fs.walk.files("/")),
        "walk.info details": lambda _: sum(1 for _ in fs.walk.info("/", namespaces=["details"])),
        "glob `**/*7.txt`": lambda _: sum(1 for _ in fs.glob("**/*7.txt")),
    }


def row(name: str, times: dict[str, float], unit: str) -> None:
    """One line of the table: OSFS's time, and the others' with how many times faster they are."""
    base = times["OSFS"]
    cells = [f"{value:.3g} {unit} ({base / value:.2f}x)" for label, value in times.items() if label != "OSFS"]
    print(f"| {name} | {base:.3g} {unit} | " + " | ".join(cells) + " |")


def compare(systems: dict[str, Any], files: list[str], rounds: int) -> None:
    sample = random.Random(1).sample(files, 300)
    for of, paths, scale, unit in ((operations, sample, 1.0, "µs"), (walks, ["/"], 1e-3, "ms")):
        for name in of(systems["OSFS"]):
            row(name, {label: per_call(of(fs)[name], paths, rounds) * scale for label, fs in systems.items()}, unit)


def first_uses(openings: dict[str, Callable[[], Any]], files: list[str], rounds: int) -> None:
    """A walk, and all files in random order, by an object that has just been opened; and all of them once more."""
    shuffled = random.Random(2).sample(files, len(files))

    def once(act: Callable[[Any], object], fs: Any) -> float:
        gc.collect()
        start = time.process_time()
        act(fs)
        return time.process_time() - start

    def read_all(fs: Any) -> None:
        for path in shuffled:
            read(fs, path)

    walked: dict[str, float] = {}
    first: dict[str, float] = {}
    again: dict[str, float] = {}
    for name, opening in openings.items():
        for _ in range(rounds):
            with opening() as opened:
                walked[name] = min(walked.get(name, 1e9), once(lambda fs: list(fs.walk("/")), opened) * 1e3)
            with opening() as opened:
                for best in (first, again):
                    best[name] = min(best.get(name, 1e9), once(read_all, opened) / len(files) * 1e6)
    row("first walk", walked, "ms")
    row(f"openbin + read, all {len(files):,} in random order: the first time", first, "µs")
    row("and again", again, "µs")


def cold(store: Path, file: str) -> None:
    print("\n| a small file of an image, cold, by | ms | as the process's first, ms |\n|---|---|---|")
    for name, opening in OPENINGS.items():
        code = COLD.format(store=str(store), opening=opening.format(file=file, store=str(store)))
        found = [json.loads(subprocess.check_output([sys.executable, "-c", code])) for _ in range(10)]
        opened, imported = (statistics.median(values) for values in zip(*found, strict=True))
        print(f"| {name} | {opened:.2f} | {imported:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=22000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        base = Path(directory)
        (base / "tree").mkdir()
        files = make_tree(base / "tree", options.entries)
        image = Store.open(base / "store").import_rootfs(base / "tree", "bench")
        print(f"{platform.machine()}, Linux {platform.release()}, Python {platform.python_version()}, ", end="")
        print(f"{os.cpu_count()} cores, {len(files):,} files\n")
        print("| | OSFS on the unpacked tree | image | container |\n|---|---|---|---|")
        from fs.osfs import OSFS

        with image.container() as container, LayerFS(image.open_overlay(), owned=True) as view:
            compare({"OSFS": OSFS(str(base / "tree")), "image": view, "container": container.fs}, files, options.rounds)
        openings: dict[str, Callable[[], Any]] = {
            "OSFS": lambda: OSFS(str(base / "tree")),
            "image": image.open_fs,
            "container": lambda: LayerFS.of_container(image.container()),
        }
        first_uses(openings, files, options.rounds)
        (base / "small").mkdir()
        make_tree(base / "small", 1)
        Store.open(base / "store").import_rootfs(base / "small", "other")
        cold(base / "store", files[0])


if __name__ == "__main__":
    main()

"""What do LayerFS's operations cost, against OSFS on the unpacked tree? And opening an image to read one small file?

    python -m bench.layerfs [--entries 22000] [--rounds 5]

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
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from bench.harness import Figures, make_parser, run
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


def call_each(call: Callable[[str], object], paths: list[str]) -> None:
    for path in paths:
        call(path)


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


def row(figures: Figures, name: str, labels: Iterable[str], unit: str) -> None:
    """One line of the table: OSFS's time, and the others' with how many times faster they are."""
    scale = {"µs": 1e6, "ms": 1e3}[unit]
    times = {label: figures.cpu(name, label) * scale for label in labels}
    base = times["OSFS"]
    cells = [f"{value:.3g} {unit} ({base / value:.2f}x)" for label, value in times.items() if label != "OSFS"]
    print(f"| {name} | {base:.3g} {unit} | " + " | ".join(cells) + " |")


def compare(figures: Figures, systems: dict[str, Any], files: list[str], rounds: int) -> None:
    sample = random.Random(1).sample(files, min(300, len(files)))
    for of, paths, unit in ((operations, sample, "µs"), (walks, ["/"], "ms")):
        for name in of(systems["OSFS"]):
            for _ in range(rounds):
                for label, fs in systems.items():
                    gc.collect()
                    figures.time(name, label, partial(call_each, of(fs)[name], paths), per=len(paths))
            row(figures, name, systems, unit)


def first_uses(figures: Figures, openings: dict[str, Callable[[], Any]], files: list[str], rounds: int) -> None:
    """A walk, and all files in random order, by an object that has just been opened; and all of them once more."""
    shuffled = random.Random(2).sample(files, len(files))

    walk, again = "first walk", "and again"
    first = f"openbin + read, all {len(files):,} in random order: the first time"

    def read_all(fs: Any) -> None:
        for path in shuffled:
            read(fs, path)

    for _ in range(rounds):
        for label, opening in openings.items():
            with opening() as opened:
                gc.collect()
                figures.time(walk, label, partial(lambda fs: list(fs.walk("/")), opened))
            with opening() as opened:
                for name in (first, again):
                    gc.collect()
                    figures.time(name, label, partial(read_all, opened), per=len(files))
    row(figures, walk, openings, "ms")
    row(figures, first, openings, "µs")
    row(figures, again, openings, "µs")


def cold(figures: Figures, store: Path, file: str) -> None:
    print("\n| a small file of an image, cold, by | ms | as the process's first, ms |\n|---|---|---|")
    for name, opening in OPENINGS.items():
        code = COLD.format(store=str(store), opening=opening.format(file=file, store=str(store)))
        found = [json.loads(subprocess.check_output([sys.executable, "-c", code])) for _ in range(10)]
        for milliseconds, first in found:
            figures.add("a small file, cold", name, milliseconds, unit="ms")
            figures.add("a small file, as the process's first", name, first, unit="ms")
        opened, imported = (statistics.median(values) for values in zip(*found, strict=True))
        print(f"| {name} | {opened:.2f} | {imported:.0f} |")


def main() -> None:
    parser = make_parser(__doc__, rounds=5)
    parser.add_argument("--entries", type=int, default=22000)
    run(parser, measure)


def measure(options: argparse.Namespace, figures: Figures) -> None:
    with tempfile.TemporaryDirectory() as directory:
        base = Path(directory)
        (base / "tree").mkdir()
        files = make_tree(base / "tree", options.entries)
        image = Store.open(base / "store").import_rootfs(base / "tree", "bench")
        print(f"{len(files):,} files\n")
        print("| | OSFS on the unpacked tree | image | container |\n|---|---|---|---|")
        from fs.osfs import OSFS

        with image.container() as container, LayerFS(image.open_overlay(), owned=True) as view:
            compare(
                figures,
                {"OSFS": OSFS(str(base / "tree")), "image": view, "container": container.fs},
                files,
                options.rounds,
            )
        openings: dict[str, Callable[[], Any]] = {
            "OSFS": lambda: OSFS(str(base / "tree")),
            "image": image.open_fs,
            "container": lambda: LayerFS.of_container(image.container()),
        }
        first_uses(figures, openings, files, options.rounds)
        (base / "small").mkdir()
        make_tree(base / "small", 1)
        Store.open(base / "store").import_rootfs(base / "small", "other")
        cold(figures, base / "store", files[0])


if __name__ == "__main__":
    main()

"""How do many programs that start at once get an image that no machine has? Bytes on the wire, seconds to the tasks.

    python -m bench.starts [--starts 100] [--machines 4] [--megabytes 10]

Machines are store roots on one host, and docker-registry is the registry. The baseline is a store for each program:
each pulls for itself. The columns besides: one store for each machine, whose programs pull at the same moment; a bundle
on a shared disk; a store that the machines link to (`load --link`). Seconds are from the start of the first program;
the first and the last task say when they run.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

from bench.harness import ROOTLAY, Figures, make_parser, run
from tests.support.registry.real import RealRegistry, running
from tests.support.rootfs import build_rootfs


def rootlay(root: Path, *words: str) -> None:
    """Run a command, which must succeed."""
    subprocess.run([ROOTLAY, "--root", str(root), *words], check=True, stdout=subprocess.DEVNULL)


def make_image(scratch: Path, megabytes: int, name: str) -> Path:
    """Make an image with a file that cannot be compressed, and push it; return its store."""
    tree, store = scratch / "tree", scratch / "shared"
    tree.mkdir()
    build_rootfs(tree)
    (tree / "data").write_bytes(random.Random(1).randbytes(megabytes << 20))
    with tarfile.open(scratch / "image.tar", "w") as tar:
        tar.add(tree, ".")
    rootlay(store, "import", str(scratch / "image.tar"), name)
    rootlay(store, "push", name, name)
    return store


def start_all(commands: list[list[str]]) -> tuple[float, float]:
    """Start programs at once; return the seconds to the first and to the last task."""
    with open("/proc/uptime", encoding="ascii") as uptime:
        began = float(uptime.read().split()[0])
    programs = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for words in commands]
    ran = []
    for program in programs:
        said = program.communicate()[0]
        if program.returncode:
            raise RuntimeError(f"a program failed: {program.args!r}")
        ran.append(float(said.split()[0]) - began)
    return min(ran), max(ran)


def measure(
    figures: Figures, registry: RealRegistry, column: str, commands: list[list[str]], before: list[list[str]]
) -> None:
    """Keep the figures of one way. `before`: commands that each machine needs first; their seconds count."""
    seen, began = registry.seen, time.monotonic()
    for words in before:
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    prepared = time.monotonic() - began
    first, last = start_all(commands)
    exchanges = registry.exchanges(seen)
    figures.add("first task", column, prepared + first)
    figures.add("last task", column, prepared + last)
    figures.add("wire", column, sum(e.bytes for e in exchanges if e.method == "GET") / 1e6, unit="MB")
    figures.add("requests", column, len(exchanges), unit="")


def benchmark(options: argparse.Namespace, figures: Figures) -> None:
    """Measure all ways, by turns."""
    with tempfile.TemporaryDirectory() as top, running(Path(top, "registry")) as registry:
        scratch = Path(top)
        name = f"{registry.host}/bench/image:1"
        shared = make_image(scratch, options.megabytes, name)
        bundle = scratch / "image.rlay"
        rootlay(shared, "bundle", name, "-o", str(bundle))
        task = ["--", "cat", "/proc/uptime"]
        for _ in range(options.rounds):
            nodes = scratch / "nodes"
            places = [str(nodes / str(number)) for number in range(options.starts)]
            own = [places[number % options.machines] for number in range(options.starts)]
            starts = {
                "each for itself": [[ROOTLAY, "--root", p, "run", "--rm", "-q", name, *task] for p in places],
                "once a machine": [[ROOTLAY, "--root", p, "run", "--rm", "-q", name, *task] for p in own],
                "bundle": [[ROOTLAY, "--root", p, "run", "--rm", str(bundle), *task] for p in own],
                "linked store": [[ROOTLAY, "--root", p, "run", "--rm", "-q", name, *task] for p in own],
            }
            link = ["load", "-q", "--link", "-i", str(shared), "--image", name]
            for column, commands in starts.items():
                linked = places[: options.machines] if column == "linked store" else []
                measure(figures, registry, column, commands, [[ROOTLAY, "--root", place, *link] for place in linked])
                shutil.rmtree(nodes)
    figures.print_tables()


def main() -> None:
    """Run the benchmark."""
    parser = make_parser(__doc__, rounds=3)
    parser.add_argument("--starts", type=int, default=100)
    parser.add_argument("--machines", type=int, default=4)
    parser.add_argument("--megabytes", type=int, default=10)
    os.umask(0o022)
    run(parser, benchmark)


if __name__ == "__main__":
    main()

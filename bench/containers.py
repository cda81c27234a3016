"""What do `ps`, `ps -a` and `fsck` take, by the number of containers in the store?

    python -m bench.containers [--counts 1000,10000] [--running 20] [--rounds 5] [--parent DIR]

The containers stand on one image of 100 files; each has run and ended, but for `--running` whose program sleeps.
Baseline, in the same run: `cat` of all their records, which is what reading them takes without us. Minima of the
rounds: elapsed seconds, and in brackets the processor's, which other work on the machine changes less. Needs
some 1.1 MB for each container below `--parent` (a filter each).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from bench.harness import Figures, make_parser, run
from rootlay.store.containers.containers import Containers
from rootlay.store.containers.record import ContainerState
from rootlay.store.disk.removetree import remove_tree
from rootlay.store.model.value import replace
from rootlay.vfs.containers.create import ContainerOptions, create_container

ROOTLAY = (sys.executable, "-m", "rootlay.cli.main", "--root")
VERBS = (("ps",), ("ps", "-a"), ("ps", "-a", "--json"), ("fsck",))


BASE = "cat of the records"


def main() -> None:
    parser = make_parser(__doc__, rounds=5)
    parser.add_argument("--counts", default="1000,10000")
    parser.add_argument("--running", type=int, default=20)
    parser.add_argument("--parent", type=Path)
    run(parser, measure)


def measure(options: argparse.Namespace, figures: Figures) -> None:
    counts = [int(count) for count in options.counts.split(",")]
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="rootlay-bench-", dir=options.parent) as name:
            root = Path(name) / "store"
            running = fill(root, Path(name), count, options.running)
            try:
                measure_store(figures, f"{count:,}", root, options.rounds)
            finally:
                stop(root, running)
                remove_tree(root)
    print("| | " + " | ".join(f"{count:,}, s" for count in counts) + " |\n|---" + "|---" * len(counts) + "|")
    for row in (BASE, *map(" ".join, VERBS)):
        cells = [(figures.wall(row, f"{count:,}"), figures.cpu(row, f"{count:,}")) for count in counts]
        print(f"| {row} | " + " | ".join(f"{elapsed:.2f} ({used:.2f})" for elapsed, used in cells) + " |")


def fill(root: Path, scratch: Path, count: int, running: int) -> list[str]:
    """A store with that many containers. Returns the names of those that run."""
    tree = scratch / "tree"
    for number in range(100):
        (tree / f"d{number % 10}").mkdir(parents=True, exist_ok=True)
        (tree / f"d{number % 10}" / f"f{number}").write_text("x" * 100)
    subprocess.run(["tar", "-C", str(tree), "-cf", str(scratch / "tree.tar"), "."], check=True)
    subprocess.run(
        [*ROOTLAY, str(root), "import", str(scratch / "tree.tar"), "small"], check=True, stdout=subprocess.DEVNULL
    )
    ended = replace(ContainerState.of_start(2), finished_ns=time.time_ns(), exit_code=0)
    for number in range(count - running):
        create_container(root, ContainerOptions("small", ("true",), name=f"c{number}"), {}).write_state(ended)
    names = [f"running{number}" for number in range(running)]
    for name in names:
        command = [*ROOTLAY, str(root), "run", "-d", "--name", name, "host", "sleep", "1000"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return names


def stop(root: Path, names: list[str]) -> None:
    if names:
        subprocess.run([*ROOTLAY, str(root), "rm", "-f", *names], check=True, stdout=subprocess.DEVNULL)


def measure_store(figures: Figures, column: str, root: Path, rounds: int) -> None:
    read_all = ["sh", "-c", f"find {Containers(root).path} -name '*.json' -exec cat {{}} + > /dev/null"]
    commands = {BASE: read_all, **{" ".join(verb): [*ROOTLAY, str(root), *verb] for verb in VERBS}}
    quietly = partial(subprocess.run, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(rounds):
        for row, command in commands.items():
            figures.time(row, column, partial(quietly, command))


if __name__ == "__main__":
    main()

"""How long do snapshot, fork and rollback take, by the number of changed files? And a container, made and dropped?

    python -m bench.snapshots [--image TREE_OR_TAR] [--counts 10,1000,100000] [-n 5]

Baseline, in the same run: a copy (`cp -a`) of the changed files, which is what each would take without layers. 100,000
files: one round, since making and copying them takes minutes. `cleanup` is the removal of what a rollback dropped,
which goes on beside the caller's work.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.harness import Figures, make_parser, run
from rootlay.vfs import Image, Store

ONE_ROUND = 100_000


def small_tree(target: Path) -> Path:
    for number in range(100):
        (target / f"d{number % 10}").mkdir(parents=True, exist_ok=True)
        (target / f"d{number % 10}" / f"f{number}").write_text("x" * 100)
    return target


def wait_for_cleanup(store: Path) -> None:
    """Until the process that empties trash has done so."""
    while any((store / "tmp").iterdir()):
        time.sleep(0.001)


def change(upper: Path, count: int) -> None:
    """Files as a program in the container would leave them, made directly: the way there is not the question."""
    for number in range(count):
        directory = upper / f"c{number // 1000}"
        if number % 1000 == 0:
            directory.mkdir()
        (directory / f"f{number}").write_text("changed")


def measure_changes(figures: Figures, image: Image, count: int, scratch: Path) -> None:
    timed = partial(figures.time, f"{count:,} changed files")
    with image.container() as c:
        c.overlay.mkdir("/first")
        c.snapshot("clean")
        change(c.record.upper, count)
        c.overlay.context.upper.announce_all()  # the filter must know what is there
        copy = ["cp", "-a", str(c.record.upper), str(scratch / "copy")]
        timed("cp -a", partial(subprocess.run, copy, check=True))
        shutil.rmtree(scratch / "copy")
        timed("snapshot", partial(c.snapshot, "changed"))
        with ExitStack() as forks:
            timed("fork", lambda: forks.enter_context(c.fork()))
        c.remove_snapshot("changed")
        timed("rollback", partial(c.rollback, "clean"))
        timed("cleanup", partial(wait_for_cleanup, image.root))


def measure_containers(figures: Figures, image: Image, rounds: int) -> None:
    with image.container("prepared") as kept:
        kept.fs.writetext("/data", "prepared")

        def write(fork: bool) -> None:
            with kept.fork() if fork else image.container() as c:
                c.fs.writetext("/new", "x")

        for _ in range(rounds * 4):
            figures.time("create + drop", "", lambda: image.container().close())
            figures.time("create + first write + drop", "", partial(write, False))
            figures.time("fork + write + drop", "", partial(write, True))
    kept.remove()


def measure(options: argparse.Namespace, figures: Figures) -> None:
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        image = Store.open(scratch / "store").import_rootfs(options.image or small_tree(scratch / "tree"), "base")
        measure_containers(figures, image, options.rounds)
        for count in map(int, options.counts.split(",")):
            for _ in range(1 if count >= ONE_ROUND else options.rounds):
                measure_changes(figures, image, count, scratch)
    figures.print_tables()


def main() -> None:
    parser = make_parser(__doc__, rounds=5)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--counts", default="10,1000,100000")
    run(parser, measure)


if __name__ == "__main__":
    main()

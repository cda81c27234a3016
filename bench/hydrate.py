"""What does it cost that an image's files are not there yet, and what does the record of an earlier run save?

    python -m bench.hydrate DEBIAN.tar [-n 5]

DEBIAN.tar is an image with python3 and gcc. Each run is of a fresh container:

- *first*: no file of the image has been hydrated, and it is not known what its programs ask for;
- *recorded*: no file has been hydrated, but an earlier run wrote down what it asked for (docs/format.md §3);
- *warm*: the files are there.

The page cache is warm. *files* is the number of files in the layers' trees at the end of the command.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

from bench.harness import ROOTLAY, Figures, make_parser, run

PROGRAMS = {
    "/bin/true": ["/bin/true"],
    "python3 -c 'import json'": ["python3", "-c", "import json"],
    "gcc of a small file": ["sh", "-c", "echo 'int main(void){return 0;}' > /a.c; gcc -o /a /a.c && /a"],
}
STATES = ("first", "recorded", "warm")
HYDRATOR_ENDS_S = 2  # after the command, and writes its record then


class Bench:
    """A store with one image."""

    def __init__(self, root: Path, image: Path) -> None:
        self.root = root
        self.environ = {**os.environ, "ROOTLAY_ROOT": str(root)}
        self._command("import", str(image), "bench")

    def _command(self, *words: str) -> None:
        subprocess.run(
            [ROOTLAY, *words], env=self.environ, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )

    def records(self) -> list[Path]:
        return list((self.root / "views").glob("*.asked"))

    def trees(self) -> list[Path]:
        return list((self.root / "layers").glob("*/tree"))

    def prepare(self, state: str) -> None:
        """From the state that a run has left."""
        time.sleep(HYDRATOR_ENDS_S)
        if state != "warm":
            for tree in self.trees():
                shutil.rmtree(tree)
        if state == "first":
            for record in self.records():
                record.unlink()

    def run(self, program: list[str]) -> None:
        self._command("run", "--rm", "bench", *program)

    def files(self) -> int:
        return sum(path.is_file() for tree in self.trees() for path in tree.rglob("*"))


def measure(options: argparse.Namespace, figures: Figures) -> None:
    with tempfile.TemporaryDirectory(prefix="rootlay-bench-") as scratch:
        bench = Bench(Path(scratch) / "store", options.debian)
        for name, program in PROGRAMS.items():
            bench.run(program)
            for _ in range(options.rounds):
                for state in STATES:
                    bench.prepare(state)
                    figures.time(name, state, partial(bench.run, program))
                    figures.add(f"{name}: files", state, bench.files(), unit="")
    figures.print_tables()


def main() -> None:
    parser = make_parser(__doc__, rounds=5)
    parser.add_argument("debian", type=Path)
    run(parser, measure)


if __name__ == "__main__":
    main()

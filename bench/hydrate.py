"""What does it cost that an image's files are not there yet, and what does the record of an earlier run save?

    python bench/hydrate.py DEBIAN.tar [-n 5]

DEBIAN.tar is an image with python3 and gcc. Each run is of a fresh container:

- *first*: no file of the image has been hydrated, and it is not known what its programs ask for;
- *recorded*: no file has been hydrated, but an earlier run wrote down what it asked for (docs/format.md §3);
- *warm*: the files are there.

Interleaved rounds, the page cache warm; wall times of the command, minimum and median, ms, and the minimum divided by
that of the warm run; the number of files in the layers' trees at the end of the command.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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
        self.rootlay = str(Path(sys.executable).with_name("rootlay"))
        self._command("import", str(image), "bench")

    def _command(self, *words: str) -> None:
        subprocess.run(
            [self.rootlay, *words], env=self.environ, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
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

    def run(self, program: list[str]) -> tuple[float, int]:
        """Milliseconds, and the files that are there afterwards."""
        start = time.perf_counter()
        self._command("run", "--rm", "bench", *program)
        took = (time.perf_counter() - start) * 1e3
        return took, sum(path.is_file() for tree in self.trees() for path in tree.rglob("*"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("debian", type=Path)
    parser.add_argument("-n", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rootlay-bench-") as scratch:
        bench = Bench(Path(scratch) / "store", options.debian)
        print("| program | " + " | ".join(STATES) + " | files: " + ", ".join(STATES) + " |")
        print("|---|" + "---|" * (len(STATES) + 1))
        for name, program in PROGRAMS.items():
            bench.run(program)
            took: dict[str, list[float]] = {state: [] for state in STATES}
            files: dict[str, int] = {}
            for _ in range(options.n):
                for state in STATES:
                    bench.prepare(state)
                    milliseconds, files[state] = bench.run(program)
                    took[state].append(milliseconds)
            best = min(took["warm"])
            cells = [f"{min(t):.0f}, {statistics.median(t):.0f} (x{min(t) / best:.2f})" for t in took.values()]
            print(f"| {name} | " + " | ".join(cells) + " | " + ", ".join(str(files[s]) for s in STATES) + " |")


if __name__ == "__main__":
    main()

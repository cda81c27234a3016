"""What does the first run on a new tag cost, if one file of a large image has changed?

    python -m bench.growth DEBIAN.tar [--files 1000000] [-n 3]

The image is DEBIAN.tar and many files of one byte, 1,000 in a directory. Each round commits one changed file as a new
tag, and runs `true` on it: with the view of the image there, so that the new one is a delta on top of it, and without
(the baseline), so that all layers are merged. Then a program looks names up, on the whole view of the image and on the
delta.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from bench.harness import ROOTLAY, Figures, make_parser, run

KINDS = ("stat", "stat in the changed directory", "stat of a missing name", "list of 1,000 names")


def make_tar(debian: Path, target: Path, files: int) -> None:
    shutil.copyfile(debian, target)
    with tarfile.open(target, "a", format=tarfile.GNU_FORMAT) as archive:
        for number in range(files):
            entry = tarfile.TarInfo(f"many/{number // 1000}/f{number}")
            entry.size = 1
            archive.addfile(entry, io.BytesIO(b"x"))


def disk_bytes(views: Path) -> int:
    """The blocks of all views, each inode once."""
    found = {(s.st_ino): s.st_blocks * 512 for s in (path.stat() for path in views.iterdir())}
    return sum(found.values())


def look_up(figures: Figures, column: str, image: str, program: Path, files: int, environ: dict[str, str]) -> None:
    command = [ROOTLAY, "run", "--rm", "-v", f"{program}:/lookups", image, "/lookups", str(files)]
    times = subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout.split()
    for kind, took in zip(KINDS, times, strict=True):
        figures.add(kind, column, float(took), unit="ns")


def measure(options: argparse.Namespace, figures: Figures) -> None:
    with tempfile.TemporaryDirectory(prefix="rootlay-bench-", dir=options.scratch) as name:
        scratch = Path(name)
        store, program = scratch / "store", scratch / "lookups"
        environ = {**os.environ, "ROOTLAY_ROOT": str(store)}
        subprocess.run(["cc", "-O2", "-static", "-o", str(program), Path(__file__).with_name("lookups.c")], check=True)
        make_tar(options.debian, scratch / "image.tar", options.files)
        subprocess.run([ROOTLAY, "import", str(scratch / "image.tar"), "image:0"], env=environ, check=True)
        (scratch / "image.tar").unlink()
        subprocess.run([ROOTLAY, "run", "--rm", "image:0", "true"], env=environ, check=True)
        views = store / "views"
        base, aside = {path for path in views.iterdir() if path.suffix in (".lmdb", ".view")}, scratch / "aside"
        aside.mkdir()
        for round_ in range(options.rounds):
            for column in ("whole", "delta"):
                image = f"{column}:{round_}"
                change = f"echo {image} >/many/0/f{round_}; echo {image} >/many/0/new"
                words = ["run", "--name", f"{column}{round_}", "image:0", "sh", "-c", change]
                subprocess.run([ROOTLAY, *words], env=environ, check=True)
                subprocess.run([ROOTLAY, "commit", f"{column}{round_}", image], env=environ, check=True)
                if column == "whole":
                    for path in base:
                        path.rename(aside / path.name)
                before = disk_bytes(views)
                os.sync()
                figures.spend(column, [[ROOTLAY, "run", "--rm", image, "true"]], environ, views)
                figures.add("disk for the tag", column, (disk_bytes(views) - before) / 1e6, unit="MB")
                if column == "whole":
                    for path in base:
                        (aside / path.name).rename(path)
            look_up(figures, "whole", "image:0", program, options.files, environ)
            look_up(figures, "delta", f"delta:{round_}", program, options.files, environ)
    figures.print_tables()


def main() -> None:
    parser = make_parser(__doc__, rounds=3)
    parser.add_argument("debian", type=Path)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--scratch", type=Path, default=None)
    run(parser, measure)


if __name__ == "__main__":
    main()

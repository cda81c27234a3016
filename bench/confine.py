"""What does confinement cost each path call, and each start?

    python -m bench.confine DEBIAN.tar [-n 4]

Needs rootlay installed in this Python, a C compiler, and a Debian root file system as a tar. The baseline is
`--confine=off`.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from bench.harness import ROOTLAY, Figures, make_parser, run

MODES = ("off", "require")
PATHS = ("/usr/share/doc/bash/copyright", "/usr/lib/nope", "/etc/os-release", "/usr/bin")
STARTS = 10


def measure(options: argparse.Namespace, figures: Figures) -> None:
    with tempfile.TemporaryDirectory(prefix="rootlay-bench-") as name:
        scratch = Path(name)
        source = Path(__file__).with_name("micro.c")
        subprocess.run(["cc", "-O2", "-static", "-o", str(scratch / "micro"), str(source)], check=True)
        rootlay = [ROOTLAY, "--root", str(scratch / "store")]
        subprocess.run([*rootlay, "import", str(options.debian), "debian"], check=True, stdout=subprocess.DEVNULL)
        for _ in range(options.rounds):
            for mode in MODES:
                start = [*rootlay, "run", "--rm", f"--confine={mode}"]
                micro = [*start, "-v", f"{scratch}:/m:ro", "debian", "/m/micro", *PATHS]
                for line in subprocess.run(micro, check=True, capture_output=True, text=True).stdout.splitlines():
                    call, low, *_ = line.rsplit(" ", 4)
                    figures.add(call, mode, float(low), unit="ns")
                for _ in range(STARTS):
                    figures.time("run true", mode, partial(subprocess.run, [*start, "debian", "true"], check=True))
    figures.print_tables()


def main() -> None:
    parser = make_parser(__doc__, rounds=4)
    parser.add_argument("debian", type=Path)
    run(parser, measure)


if __name__ == "__main__":
    main()

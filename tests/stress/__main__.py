"""Many processes work on one store, and each checks its results: `python -m tests.stress` (see docs/robustness.md).

    python -m tests.stress [--workers N] [--seconds N] [--seed N] [--work DIRECTORY]

Afterwards the images and appended lines of every worker must exist, and `fsck --deep` must find nothing. Prints a
table. The exit code is 1 if a check failed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests" / "store")]

from tests.stress.crowd import run  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stress", description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rl-stress-", ignore_cleanup_errors=True) as place:
        return run(options.work or Path(place), options.workers, options.seconds, options.seed)


if __name__ == "__main__":
    sys.exit(main())

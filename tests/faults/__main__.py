"""Inject a fault into every command, at every point: `python -m tests.faults` (see docs/robustness.md).

    python -m tests.faults [--actions kill,ENOSPC,…] [--sample N] [--seed N] [--jobs N] [--rows DIRECTORY]
                           [--minutes M] [--table FILE] [SCENARIO…]

Without --sample, every point of every scenario is tried with every action. --sample N tries N points of each scenario
and action, evenly spread. --minutes M tries commands, points and actions in a random order, which the seed determines,
and stops after that time. --jobs N starts N workers, which share the commands. --rows keeps the results of each
command; the next campaign tries only the actions that have no result there. --table writes the table of all rows into a
document.

Prints a table. The exit code is 1 if a check failed; each failed check is printed with the command line that repeats
it.

The shim must be loaded before Python starts: each worker is this program again, with LD_PRELOAD.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
_PR_SET_PDEATHSIG = 1
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests" / "store")]

from tests.faults.builds import build_engine, build_shim  # noqa: E402
from tests.faults.control import ACTIONS, Control  # noqa: E402
from tests.faults.document import write_document  # noqa: E402
from tests.faults.row import read_rows, table  # noqa: E402
from tests.faults.scenarios import SCENARIOS  # noqa: E402


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.splitlines()[0])
    parser.add_argument("--actions", default=",".join(ACTIONS))
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--at", type=int, default=0, help="this point alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--rows", type=Path, help="where results are kept")
    parser.add_argument("--table", type=Path, help="the document whose table is to be written")
    parser.add_argument("--list", action="store_true", help="print every point and do nothing")
    parser.add_argument("scenario", nargs="*")
    return parser.parse_args()


def main() -> int:
    options = parse()
    if "ROOTLAY_FAULT_ROOT" in os.environ:
        from tests.faults.campaign import run

        run(options)
        return 0
    # Programs inside a confined container may open what is in /dev/shm, and little else: the engine's injector has to.
    shared = Path(tempfile.mkdtemp(prefix="rl-faults-", dir="/dev/shm"))
    rows = options.rows or shared / "rows"
    rows.mkdir(parents=True, exist_ok=True)
    for mark in rows.glob("*.taken"):
        mark.unlink()
    start = time.monotonic()
    os.environ["ROOTLAY_FAULT_UNTIL"] = str(start + options.minutes * 60)  # one clock for all processes
    workers = [start_worker(shared / str(number), rows) for number in range(options.jobs)]
    statuses = [worker.wait() for worker in workers]
    found = read_rows(rows, [s.name for s in SCENARIOS])
    text = table(found, options.actions.split(","))
    breaks = sum(sum(row.reached.values()) for row in found)
    print(f"{text}\n{breaks} breaks in {time.monotonic() - start:.0f} s")
    if options.table:
        write_document(options.table, found, options.actions.split(","))
    wrong = any(row.troubles for row in found) or any(statuses)
    if wrong:
        print(f"kept: {shared}", file=sys.stderr)
    else:
        subprocess.run(["chmod", "-R", "u+rwX", str(shared)], check=True)
        shutil.rmtree(shared)
    return int(wrong)


def start_worker(place: Path, rows: Path) -> subprocess.Popen[bytes]:
    """Build the files that a worker needs, and start it with the shim."""
    work = Path(os.path.realpath(place)) / "work"
    (work / "lab").mkdir(parents=True)
    Control(place / "control")
    build_shim(work / "shim.so")
    if os.uname().machine == "x86_64":
        build_engine(work / "engine", place / "control", place / "log")
    environment = {
        **os.environ,
        "LD_PRELOAD": str(work / "shim.so"),
        "ROOTLAY_FAULT_ROOT": str(work / "lab"),
        "ROOTLAY_FAULT_CONTROL": str(place / "control"),
        "ROOTLAY_FAULT_LOG": str(place / "log"),
        "HOME": str(work),
    }
    words = [sys.executable, "-m", "tests.faults", *sys.argv[1:], "--rows", str(rows)]
    return subprocess.Popen(words, env=environment, cwd=REPOSITORY, preexec_fn=die_with_parent)


def die_with_parent() -> None:
    """In a worker: let the kernel kill this process when its parent ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())

"""Break every command at every point: `python -m tests.faults` (see docs/robustness.md).

    python -m tests.faults [--actions kill,ENOSPC,…] [--sample N] [--seed N] [--work DIRECTORY] [SCENARIO…]

Without --sample every point of every scenario is tried with every action. --sample N tries N points of each scenario
and action, evenly spread. Prints a table; exit code 1 if anything was not as it must be, each with the words that
repeat it. The shim must be loaded before Python starts: this program starts itself again with LD_PRELOAD.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests" / "store")]

from tests.faults.builds import build_engine, build_shim  # noqa: E402
from tests.faults.control import ACTIONS, Control  # noqa: E402


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.splitlines()[0])
    parser.add_argument("--actions", default=",".join(ACTIONS))
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--at", type=int, default=0, help="this point alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--list", action="store_true", help="print every point and do nothing")
    parser.add_argument("scenario", nargs="*")
    return parser.parse_args()


def main() -> int:
    options = parse()
    if "ROOTLAY_FAULT_ROOT" not in os.environ:
        return start_again(options)
    from tests.faults.campaign import run

    return run(options)


def start_again(options: argparse.Namespace) -> int:
    """Build, and become a process with the shim."""
    # Programs inside a confined container may open what is in /dev/shm, and little else: the engine's injector has to.
    shared = Path(tempfile.mkdtemp(prefix="rl-faults-", dir="/dev/shm"))
    work = Path(os.path.realpath(options.work or shared / "work"))
    work.mkdir(parents=True, exist_ok=True)
    Control(shared / "control")
    (work / "lab").mkdir(exist_ok=True)
    build_shim(work / "shim.so")
    if os.uname().machine == "x86_64":
        build_engine(work / "engine", shared / "control", shared / "log")
    environment = {
        **os.environ,
        "LD_PRELOAD": str(work / "shim.so"),
        "ROOTLAY_FAULT_ROOT": str(work / "lab"),
        "ROOTLAY_FAULT_CONTROL": str(shared / "control"),
        "ROOTLAY_FAULT_LOG": str(shared / "log"),
        "HOME": str(work),
    }
    words = [sys.executable, "-m", "tests.faults", *sys.argv[1:]]
    os.chdir(REPOSITORY)
    status = os.spawnve(os.P_WAIT, sys.executable, words, environment)
    if status == 0:
        subprocess.run(["chmod", "-R", "u+rwX", str(work)], check=True)
        shutil.rmtree(shared)
    else:
        print(f"kept: {work}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())

"""A sample of the points at which `python -m tests.faults` kills commands, or lets the disk fail.

ROOTLAY_TEST_FAULTS is how many points of each command are tried with each action (default 1, a few per cent of all);
0: every point, which takes hours.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLE = int(os.environ.get("ROOTLAY_TEST_FAULTS", "1"))
REPOSITORY = Path(__file__).resolve().parents[2]
COMMON = ("import", "commit", "prune", "build RUN", "rollback", "rm of a fork's origin", "run (change)")


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler (cc)")
@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="needs /dev/shm, which confined programs may open")
@pytest.mark.timeout(300 if SAMPLE == 1 else 0)
@pytest.mark.parametrize(("action", "scenarios"), [("kill", ()), ("ENOSPC,EDQUOT,EIO,EROFS", COMMON)])
def test_sample_of_points(action: str, scenarios: tuple[str, ...]) -> None:
    seed = random.randrange(1000)
    command = [sys.executable, "-m", "tests.faults", "--actions", action, "--sample", str(SAMPLE), "--seed", str(seed)]
    done = subprocess.run([*command, *scenarios], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"seed {seed}\n{done.stderr}\n{done.stdout}"
    assert " breaks in " in done.stdout

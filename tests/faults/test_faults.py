"""A sample of the points at which `python -m tests.faults` kills commands or makes the disk fail.

Each run tries other commands and points; a failure prints the command line that repeats it. ROOTLAY_TEST_FAULTS is the
number of points of each command for each action. It includes all commands; the default is one point of some commands.
0 tries every point, which takes hours.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.scenarios import SCENARIOS

pytestmark = pytest.mark.once

SAMPLE = os.environ.get("ROOTLAY_TEST_FAULTS")
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler (cc)")
@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="needs /dev/shm, which confined programs may open")
@pytest.mark.timeout(0 if SAMPLE else 900)
@pytest.mark.parametrize(("action", "count"), [("kill", 10), ("ENOSPC,EDQUOT,EIO,EROFS", 3)])
def test_sample_of_points(action: str, count: int) -> None:
    seed = random.randrange(1000)
    chosen = [] if SAMPLE else random.sample([scenario.name for scenario in SCENARIOS], count)
    words = ["--actions", action, "--seed", str(seed), "--sample", SAMPLE or "1"]
    command = [sys.executable, "-m", "tests.faults", *words]
    done = subprocess.run([*command, *chosen], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"seed {seed}\n{done.stderr}\n{done.stdout}"
    assert " breaks in " in done.stdout


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler (cc)")
@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="needs /dev/shm, as the tests above")
@pytest.mark.timeout(0 if SAMPLE else 900)
def test_power_failures() -> None:
    seed = random.randrange(1000)
    names = [scenario.name for scenario in SCENARIOS if not scenario.engine]
    chosen = [] if SAMPLE else ["rollback", random.choice(names)]  # the one that once lost a snapshot
    words = ["--seed", str(seed), "--sample", SAMPLE or "1", *chosen]
    command = [sys.executable, "-m", "tests.faults.power", *words]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"seed {seed}\n{done.stderr}\n{done.stdout}"
    assert "| all of these |" in done.stdout

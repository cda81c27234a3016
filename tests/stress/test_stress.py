"""A short form of `python -m tests.stress`: some processes on one store, for some seconds."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

SECONDS = int(os.environ.get("ROOTLAY_TEST_STRESS", "8"))
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(SECONDS * 4 + 600)
def test_many_processes_on_one_store(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    words = ["--workers", "3", "--seconds", str(SECONDS), "--seed", str(seed), "--work", str(tmp_path / "work")]
    done = subprocess.run(
        [sys.executable, "-m", "tests.stress", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"seed {seed}\n{done.stdout}\n{done.stderr}"
    assert "0 checks failed" in done.stdout

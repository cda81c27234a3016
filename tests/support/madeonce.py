"""What all processes of a test run share: made by the first that needs it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return the directory `name` that `make` fills. Not to be changed, and its own path must not be part of it.

    ROOTLAY_TEST_BUILT is the directory above, which runs of several users share; by default one of this run.
    """
    base = factory.getbasetemp()
    given = os.environ.get("ROOTLAY_TEST_BUILT")
    place = Path(given) if given else base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    made = place / name
    if made.exists():
        return made
    with (place / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            begun = place / f"{name}.new"
            shutil.rmtree(begun, ignore_errors=True)
            begun.mkdir()
            make(begun)
            subprocess.run(["chmod", "-R", "a+rX", str(begun)], check=True)
            begun.rename(made)
    return made

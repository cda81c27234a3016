"""The engine on another architecture, in a virtual machine: `python -m tests.machines` (docs/testing.md)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.machines.vm import archive

TREE = Path(__file__).resolve().parents[2]


def test_an_archive_is_a_cpio_archive(tmp_path: Path) -> None:
    if not shutil.which("cpio"):
        pytest.skip("cpio is not installed")
    data = archive({"a": (0o40755, b""), "a/b": (0o100644, b"content"), "a/c": (0o100600, b"")})
    subprocess.run(["cpio", "-id", "--quiet"], input=data, cwd=tmp_path, check=True)
    assert (tmp_path / "a/b").read_bytes() == b"content"
    assert (tmp_path / "a/c").stat().st_mode == 0o100600


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.timeout(1800)
def test_aarch64_runs_programs() -> None:
    """The short form: the smoke tests of both engines and one native program."""
    cache, wheel = (os.environ.get(f"ROOTLAY_TEST_MACHINES{end}") for end in ("", "_WHEEL"))
    if not cache or not wheel:
        pytest.skip("ROOTLAY_TEST_MACHINES names no directory for machines, or ROOTLAY_TEST_MACHINES_WHEEL no wheel")
    command = [sys.executable, "-m", "tests.machines", "--cache", cache, "--wheel", wheel, "--timeout", "900"]
    done = subprocess.run(command, cwd=TREE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]

"""The suites of two small packages inside and outside (suites.py; docs/suites.md has all)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs.suites import compare_all

pytestmark = [pytest.mark.long]


@pytest.mark.timeout(3600)
def test_suites_of_debian_give_the_same_results(tmp_path: Path) -> None:
    place = os.environ.get("ROOTLAY_TEST_SUITES")
    if not place:
        pytest.skip("ROOTLAY_TEST_SUITES does not name a directory that `suites.py make` has filled")
    if os.geteuid() == 0 or shutil.which("bwrap") is None:
        pytest.skip("needs bubblewrap, and an ordinary user")
    for name in ("image.tar", "tree"):
        (tmp_path / name).symlink_to(Path(place, name))
    compare_all(tmp_path, ["attr", "patch"])
    shown = subprocess.run(
        [sys.executable, "-m", "tests.programs.suites", "show", tmp_path], capture_output=True, text=True, check=True
    ).stdout
    rows = [[cell.strip() for cell in line.split("|")] for line in shown.splitlines()[2:]]
    assert [row[1] for row in rows] == ["attr", "patch"]
    for row in rows:
        assert int(row[3]) > 1
        assert row[5] == "0", row

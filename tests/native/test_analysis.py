"""Static analysis of the resolver core. (Damaged views and uppers under sanitizers: tests/fuzz.)"""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import CORE, FLAGS

SOURCES = sorted(CORE.glob("*.c"))
#: Checks of clang-tidy that find faults, without those of taste.
TIDY = (
    "-*,clang-analyzer-core.*,clang-analyzer-deadcode.*,clang-analyzer-unix.*,bugprone-sizeof-*,bugprone-infinite-loop"
)


def test_gccs_analyzer_has_nothing_to_say() -> None:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs gcc (-fanalyzer)")

    def analyse(source: Path) -> str:
        command = [compiler, *FLAGS, "-fanalyzer", "-c", str(source), "-o", "/dev/null"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else f"{source.name}: {done.stderr}"

    with ThreadPoolExecutor(2) as pool:
        found = [text for text in pool.map(analyse, SOURCES) if text]
    assert not found, "\n".join(found)[-4000:]


def test_clang_tidy_has_nothing_to_say() -> None:
    tidy = shutil.which("clang-tidy")
    if tidy is None:
        pytest.skip("needs clang-tidy")
    if not os.environ.get("ROOTLAY_TEST_LONG"):
        pytest.skip("takes a minute: set ROOTLAY_TEST_LONG")

    def look(source: Path) -> str:
        command = [tidy, "--quiet", f"--checks={TIDY}", "--warnings-as-errors=*", str(source), "--", "-std=gnu11"]
        done = subprocess.run([*command, "-ffreestanding"], capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else done.stdout

    with ThreadPoolExecutor(2) as pool:
        found = [text for text in pool.map(look, SOURCES) if text]
    assert not found, "\n".join(found)[-4000:]

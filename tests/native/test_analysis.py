"""Static analysis of all our C: the core, both engines, the merge, the writer of small files.

(Damaged views and uppers under sanitizers: tests/fuzz, test_core_sanitized.py.)
"""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.native.conftest import CORE, FLAGS
from tests.native.guest import engine_sources

pytestmark = [pytest.mark.slow, pytest.mark.long_form, pytest.mark.once]

SOURCES = CORE.parent
STORE = SOURCES.parents[1] / "store" / "csrc"
HOSTED = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-fno-strict-aliasing"]
#: Files, and how they are compiled.
GROUPS = (
    (sorted(CORE.glob("*/*.c")), FLAGS),
    ([SOURCES / "hook" / "instance.c"], FLAGS),
    (engine_sources(), [*FLAGS, "-fno-builtin", "-fno-strict-aliasing"]),
    (sorted((SOURCES / "wrap").glob("*.c")), [*FLAGS, "-fno-builtin", "-DRL_ENGINE_ADDRESS=0x550e50000000"]),
    (sorted((SOURCES / "monitor").glob("*.c")), [*FLAGS, "-fno-builtin", "-fno-strict-aliasing"]),
    (sorted(path for path in (SOURCES / "hook").glob("*.c") if path.name != "instance.c"), HOSTED),
    (sorted((STORE / "viewbuild").glob("*.c")), HOSTED),
    (sorted((STORE / "batchwrite").glob("*.c")), HOSTED),
)
#: Checks of clang-tidy that find faults, without those of taste.
TIDY = (
    "-*,clang-analyzer-core.*,clang-analyzer-deadcode.*,clang-analyzer-unix.*,bugprone-sizeof-*,bugprone-infinite-loop"
)
#: Arrays of pointers are what they are (the option is not in every version: some places say NOLINT).
POINTERS = "{CheckOptions: [{key: bugprone-sizeof-expression.WarnOnSizeOfPointerToAggregate, value: false}]}"
#: A hook hands on to libc's function what the program gave it, NULL too: libc says what that means.
HOOKS = ",-clang-analyzer-core.NonNullParamChecker"


def all_sources() -> list[tuple[Path, list[str]]]:
    found = [(path, flags) for paths, flags in GROUPS for path in paths]
    foreign = {*(SOURCES / "trap").rglob("*.c")} - {*engine_sources()}
    everything = {*SOURCES.rglob("*.c"), *STORE.rglob("*.c")} - foreign
    assert {path for path, _ in found} == everything - {SOURCES / "testlib" / "direct.c"}
    return found


def test_gccs_analyzer_has_nothing_to_say() -> None:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs gcc (-fanalyzer)")

    def analyse(source: tuple[Path, list[str]]) -> str:
        command = [compiler, *source[1], "-fanalyzer", "-c", str(source[0]), "-o", "/dev/null"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else f"{source[0].name}: {done.stderr}"

    with ThreadPoolExecutor(2) as pool:
        found = [text for text in pool.map(analyse, all_sources()) if text]
    assert not found, "\n".join(found)[-4000:]


def test_clang_tidy_has_nothing_to_say() -> None:
    tidy = shutil.which("clang-tidy")
    if tidy is None:
        pytest.skip("needs clang-tidy")
    if not os.environ.get("ROOTLAY_TEST_LONG"):
        pytest.skip("takes minutes: set ROOTLAY_TEST_LONG")

    def look(source: tuple[Path, list[str]]) -> str:
        flags = ["-std=gnu11", *(flag for flag in source[1] if flag in ("-ffreestanding", "-fno-builtin"))]
        checks = TIDY + (HOOKS if source[0].parent.name == "hook" else "")
        options = ["--quiet", f"--checks={checks}", f"--config={POINTERS}", "--warnings-as-errors=*"]
        command = [tidy, *options, str(source[0]), "--", *flags]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else done.stdout

    with ThreadPoolExecutor(2) as pool:
        found = [text for text in pool.map(look, all_sources()) if text]
    assert not found, "\n".join(found)[-4000:]

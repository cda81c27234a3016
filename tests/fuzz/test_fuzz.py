"""The short form of fuzzing: the corpus, random damage without a fuzzer, and a few seconds of each fuzzer that is here.

The long form is `tests/fuzz/run --minutes M` (docs/robustness.md).
"""

from __future__ import annotations

import importlib.util
import os
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent / "core"))

from run import fuzz
from seeds import native_seeds, seeds
from targets import TARGETS, mutated

from build import HARNESSES, find_clang

SECONDS = 60 if os.environ.get("ROOTLAY_TEST_LONG") else 6
DAMAGED = 1500


@pytest.mark.parametrize("target", TARGETS)
def test_sound_inputs_and_those_that_once_failed(target: str) -> None:
    for data in seeds(target):
        TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
def test_random_damage(target: str) -> None:
    for data in mutated(seeds(target), DAMAGED if target != "bundle" else DAMAGED // 10, random.Random(5)):
        TARGETS[target](data)


def test_a_moment_of_atheris(tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("needs atheris (pip install atheris)")
    [outcome] = fuzz(["every"], SECONDS / 60, tmp_path)
    assert outcome.crashes == ()
    assert outcome.executions > 10
    assert outcome.edges > 2  # it sees where it goes


@pytest.mark.parametrize("harness", HARNESSES)
def test_a_moment_of_libfuzzer(harness: str, tmp_path: Path) -> None:
    if find_clang() is None:
        pytest.skip("needs a clang with libFuzzer (Debian: clang libclang-rt-dev)")
    [outcome] = fuzz([harness], SECONDS / 60 / (1 if harness == "core" else 3), tmp_path)
    assert outcome.crashes == ()
    assert outcome.executions >= len(native_seeds(harness))

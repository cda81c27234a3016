"""The short form of fuzzing: the corpus, random damage without a fuzzer, and a few seconds of each fuzzer that is here.

The long form is `tests/fuzz/run --minutes M` (docs/robustness.md).
"""

from __future__ import annotations

import importlib.util
import os
import random
from pathlib import Path

import pytest

from tests.fuzz.core.build import HARNESSES, find_clang
from tests.fuzz.run import fuzz
from tests.fuzz.seeds import native_seeds, seeds
from tests.fuzz.targets import TARGETS, mutated

pytestmark = [pytest.mark.long_form, pytest.mark.once]

LONG = bool(os.environ.get("ROOTLAY_TEST_LONG"))
RUNS = {} if LONG else {"every": 300, "core": 6_000, "program": 100_000, "library": 100_000, "merge": 15_000}
"""The short form does the same each time; `tests/fuzz/run` looks for what is new."""
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
    [outcome] = fuzz(["every"], 1, tmp_path, runs=RUNS.get("every", 0))
    assert outcome.crashes == ()
    assert outcome.executions > 10
    assert outcome.edges > 2  # it sees where it goes


@pytest.mark.parametrize("harness", HARNESSES)
def test_a_moment_of_libfuzzer(harness: str, tmp_path: Path) -> None:
    if find_clang() is None:
        pytest.skip("needs a clang with libFuzzer (Debian: clang libclang-rt-dev)")
    [outcome] = fuzz([harness], 1, tmp_path, runs=RUNS.get(harness, 0))
    assert outcome.crashes == ()
    assert outcome.executions >= len(native_seeds(harness))

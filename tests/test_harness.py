"""bench/harness.py: what its figures, records and comparisons say."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest

from bench.harness import Figures, interpreter_of, machine, merge, table_row


def record(*walls: float) -> dict[str, Any]:
    figures = Figures()
    for wall in walls:
        figures.add("start", "x", wall, wall / 2)
    return {"figures": figures.to_json()}


def test_elapsed_and_processor_time_are_told_apart_and_children_count() -> None:
    figures = Figures()
    figures.time("sleep", "", lambda: time.sleep(0.2))
    code = "import time\nwhile time.process_time() < 0.2: pass"
    figures.time("work", "", lambda: subprocess.run([sys.executable, "-c", code], check=True))
    assert figures.wall("sleep") >= 0.2
    assert figures.cpu("sleep") < 0.1
    assert figures.cpu("work") >= 0.2


def test_the_round_that_warms_up_is_kept_apart() -> None:
    figures = Figures()
    figures.time("start", "", lambda: time.sleep(0.1), warm=True)
    figures.time("start", "", lambda: None)
    series = figures.of["start", ""]
    assert series.first is not None
    assert series.first >= 0.1
    assert len(series.wall) == 1
    assert figures.wall("start") == figures.median("start") != series.first


def test_rounds_of_one_side_are_put_together() -> None:
    records: dict[str, dict[str, Any]] = {}
    for wall in (3.0, 1.0, 2.0):
        merge(records, "here", record(wall))
    (figure,) = records["here"]["figures"]
    assert figure["wall"] == {"min": 1.0, "median": 2.0, "rounds": [3.0, 1.0, 2.0]}
    assert figure["cpu"]["min"] == 0.5


def test_ratios_are_of_here_to_against() -> None:
    here, against = (record(wall)["figures"][0] for wall in (0.003, 0.002))
    assert table_row(here, against) == "| start, x | ms | 3, 3 | 2, 2 | 1.50 | 1.50 | 1.50 |"


def test_a_record_says_what_it_was_measured_on() -> None:
    found = machine()
    assert found["rootlay"]
    assert {"commit", "kernel", "file_system", "python", "machine", "processors"} <= found.keys()


@pytest.mark.parametrize(("given", "used"), [("/a/bin/rootlay", "/a/bin/python"), ("/b/bin/python3", "/b/bin/python3")])
def test_a_rootlay_command_means_the_interpreter_beside_it(given: str, used: str) -> None:
    assert interpreter_of(given) == used

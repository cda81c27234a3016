"""docs/engine-coverage.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

from tests.native.guest import HERE

WORDS = re.findall(r"`([^`]+)`", (HERE.parents[1] / "docs" / "engine-coverage.md").read_text(encoding="utf-8"))


def test_every_file_is_there() -> None:
    names = {word for word in WORDS if re.search(r"^[\w./]+\.(py|c)$", word)}
    assert len(names) > 20
    missing = [name for name in names if not (HERE / name).exists() and not (HERE.parents[1] / name).exists()]
    assert missing == []


def test_every_case_is_there() -> None:
    """A case of a C program is in its table, and so is run by test_engine_calls.py; others are functions of it."""
    source = "".join(path.read_text(encoding="utf-8") for path in sorted(HERE.glob("*.c")))
    names = {word for word in WORDS if re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+", word)}
    assert len(names) > 40
    tables = set(re.findall(r"CASE\((\w+)\)", source))
    assert names - tables == set()


def test_every_case_is_run_by_a_test() -> None:
    """Each C program with a table of cases is one that test_engine_calls.py goes through; kept.c needs an image."""
    from tests.native.test_engine_calls import PROGRAMS

    with_cases = {path.stem for path in Path(HERE).glob("*.c") if "CASE(" in path.read_text(encoding="utf-8")}
    assert with_cases == {*PROGRAMS, "kept"}

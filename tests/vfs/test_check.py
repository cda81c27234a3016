"""`fsck`: each invariant of docs/format.md is broken in turn, found, and repaired or put aside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rootlay.store.check.finding import CODES, quarantined
from rootlay.store.store import ImageStore
from tests.vfs.check_cases import CASES
from tests.vfs.damaged_store import Damaged


@pytest.mark.parametrize("name", CASES)
def test_damage_is_found_and_repaired_or_put_aside(name: str, damaged: Damaged) -> None:
    case = CASES[name]
    case.damage(damaged)
    found = {outcome.finding.code for outcome in damaged.check(deep=case.deep)}
    assert found
    assert found <= set(case.codes), found
    if case.deep:
        assert not damaged.check(), "a quick check sees it, too: it is not for `deep` alone"
    repaired = damaged.check(deep=case.deep, repair=True)
    assert {outcome.finding.code for outcome in repaired} == set(case.codes), repaired
    assert any(outcome.is_open for outcome in repaired) == case.lost, repaired
    left = damaged.check(deep=True)
    assert any(outcome.is_open for outcome in left) == case.lost, left
    assert bool(quarantined(damaged.root)) == case.kept
    if not case.lost and not {"image-broken", "container-damaged", "index-damaged"} & set(case.codes):
        if name != "record of no meaning":
            assert damaged.content() == "changed" + "new" + "x" * 5000
        assert [record.reference for record in ImageStore.open(damaged.root).images()] == ["app:latest"]


def test_the_document_lists_every_code() -> None:
    text = (Path(__file__).parents[2] / "docs" / "robustness.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `([a-z-]+)` \| (.*?) \|", text, re.MULTILINE)) == CODES


def test_every_code_has_a_case() -> None:
    # The lazy layers' is in tests/store/test_check_lazy.py.
    assert {code for case in CASES.values() for code in case.codes} == set(CODES) - {"lazy-damaged"}


def test_the_table_of_invariants_names_every_case() -> None:
    text = (Path(__file__).parents[2] / "docs" / "invariants.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [\w, ]+ \| [^|]+ \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    named: dict[str, set[str]] = {}
    for codes, cases in rows:
        for case in cases.split("; "):
            named.setdefault(case.strip(), set()).update(re.findall(r"`([a-z-]+)`", codes))
    here = {name: codes for name, codes in named.items() if "lazy-damaged" not in codes}
    assert set(here) | {"blob cut", "blob missing"} == set(CASES)  # those are cases of lazy layers as well
    assert [name for name, codes in here.items() if not codes & set(CASES[name].codes)] == []
    assert {code for codes in named.values() for code in codes} == set(CODES)

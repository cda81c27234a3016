"""Each hostile archive has the outcome that is written for it; nothing outside is read or changed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootlay.store.disk.removetree import remove_tree
from tests.hostile.archives import all_cases
from tests.hostile.taking import Outside, Prober, take

CASES = all_cases()
GROUPS = Counter(case.group for case in CASES)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() == 0, reason="hostile archives are tried as an ordinary user only"),
]


@pytest.fixture(scope="module")
def prober(tmp_path_factory: pytest.TempPathFactory) -> Prober | None:
    return Prober.build(tmp_path_factory.mktemp("prober"))


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    if tmp_path.is_relative_to("/dev"):
        pytest.skip("programs inside see /dev/shm (SECURITY.md), so nothing there is outside: set TMPDIR")
    found = Outside(tmp_path / "outside")
    yield found
    found.check()


def test_no_two_cases_have_one_name() -> None:
    assert len({(case.group, case.name) for case in CASES}) == len(CASES) > 500


@pytest.mark.parametrize("group", GROUPS)
def test_hostile_archives(group: str, tmp_path: Path, outside: Outside, prober: Prober | None) -> None:
    wrong = []
    cases = [case for case in all_cases(os.fsencode(outside.directory)[1:]) if case.group == group]
    assert len(cases) == GROUPS[group]
    for number, case in enumerate(cases):
        scratch = tmp_path / str(number)
        scratch.mkdir()
        try:
            outcome = take(case, scratch, outside, prober)
        except Exception as error:
            outcome = f"{type(error).__name__}: {error}"[:300]
        if outcome != case.outcome:
            wrong.append(f"{case.name[:80]}: {case.outcome} was expected, {outcome}")
        remove_tree(scratch)
    assert not wrong, "\n".join(wrong)

"""The C core is killed, or the kernel returns an error, at every call of an operation that changes something.

The operations and the allowed states are those of tests/vfs/test_crash.py, which does the same to the Python
rules. EDQUOT, EIO and EROFS are tried only with ROOTLAY_TEST_LONG. The core is compiled with numbered points
(engine.c), and each break happens in a process of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from rootlay.vfs.overlay.overlay import Overlay
from tests.faults.bench import Bench
from tests.faults.control import ACTIONS
from tests.vfs.test_crash import OPERATIONS, State, check, state

pytestmark = [pytest.mark.long_form, pytest.mark.once]

TRIED: Counter[str] = Counter()
# Python's rules have these two as operations of their own. The core copies up only for a change, and makes no devices.
NATIVE = {name: operation for name, operation in OPERATIONS.items() if name not in ("copy up", "mknod")}
LONG = bool(os.environ.get("ROOTLAY_TEST_LONG"))
FORMS = {"plain": {}, "removals": {"removals": True}, "delta": {"removals": True, "delta": True}}


@pytest.fixture(scope="module", params=FORMS if LONG else ["plain"])
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    if not shutil.which("cc"):
        pytest.skip("needs a C compiler (cc)")
    made = Bench(tmp_path_factory.mktemp("points"), **FORMS[request.param])
    yield made
    made.close()
    print("\ncore:", ", ".join(f"{count} x {action}" for action, count in TRIED.items()))


@pytest.mark.parametrize("action", ACTIONS if LONG else ("kill", "ENOSPC"))
@pytest.mark.parametrize("name", NATIVE)
def test_core_leaves_the_old_state_or_the_new(name: str, action: str, bench: Bench, monkeypatch: Any) -> None:
    place = bench.base / "place"
    shutil.rmtree(place, ignore_errors=True)
    bench.make(place)
    before = shown(bench, place)
    status, points = bench.run(place, NATIVE[name], 0, action)
    assert status == 0, name
    after = shown(bench, place)
    monkeypatch.setattr("tests.vfs.test_crash.StackBuilder", lambda base: cast(Any, Rebuilt(bench, base)))
    assert points > 0
    for at in range(1, points + 1):
        shutil.rmtree(place)
        bench.make(place)
        status, reached = bench.run(place, NATIVE[name], at, action)
        TRIED[action] += reached >= at
        code = os.waitstatus_to_exitcode(status)
        assert code == -signal.SIGKILL if action == "kill" else code in (0, ACTIONS[action]), (at, code)
        what = check(name, place, before, after)
        assert code != 0 or what == "after", (at, what)
        if what in ("before", "mixed"):
            assert os.waitstatus_to_exitcode(bench.run(place, NATIVE[name], 0, action)[0]) == 0, at
            assert check(name, place, before, after) == "after", at


class Rebuilt:
    """Takes the place of the builder of stacks in `check`."""

    def __init__(self, bench: Bench, place: Path) -> None:
        self._bench, self._place = bench, place

    def overlay(self, **_: object) -> Overlay:
        return self._bench.overlay(self._place)


def shown(bench: Bench, place: Path) -> State:
    with bench.overlay(place) as overlay:
        return state(overlay)

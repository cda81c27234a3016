"""Two processes change the same names: one stops at each of its points in turn, the other does its whole change, and
the first goes on, or is killed. What comes of it must be what comes of the two one after the other, in some order.

This is what rules 2 and 3 of vfs/csrc/core/change/remove.c, rename.c and copyup.c promise of changes without the lock:
copies that are published without it, removals that are only noted, files that only the upper has.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from itertools import product

import pytest

from tests.faults.bench import Bench
from tests.faults.meeting import TRIED, Change, Pair
from tests.faults.test_removal_points import append, differences, make, mkdir, point, rename, rmdir, unlink

pytestmark = [
    pytest.mark.long_form,
    pytest.mark.once,
    pytest.mark.skipif(not os.environ.get("ROOTLAY_TEST_LONG"), reason="takes minutes: set ROOTLAY_TEST_LONG"),
]

CHANGES: dict[str, Change] = {
    "append": append("/d/f"),
    "append below": append("/d/sub/x"),
    "chmod": lambda o: o.chmod("/d/f", 0o600),
    "truncate": lambda o: o.truncate("/d/f", 2),
    "unlink": unlink("/d/f"),
    "unlink below": unlink("/d/sub/x"),
    "rename": rename("/d/f", "/d/n"),
    "rename over it": rename("/d/sub/x", "/d/f"),
    "rename an own file over it": rename("/u/f", "/d/f"),
    "link": lambda o: o.link("/d/f", "/d/l"),
    "make": make("/d/f"),
    "make below": make("/d/sub/n"),
    "rename the directory": rename("/d", "/u/d"),
    "rename the directory below": rename("/d/sub", "/d/n"),
    "rmdir": rmdir("/empty"),
    "make in the empty": make("/empty/n"),
    "mkdir": mkdir("/empty"),
    "rename over the empty": rename("/v", "/empty"),
}
PAIRS = [
    (one, two)
    for one, two in product(CHANGES, CHANGES)
    if ("empty" in one + two or "rmdir" in (one, two) or "mkdir" in (one, two))
    == all("empty" in name or name in ("rmdir", "mkdir") for name in (one, two))
]


@pytest.fixture(scope="module", params=[False, True], ids=["whole", "delta"])
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    if not shutil.which("cc"):
        pytest.skip("needs a C compiler (cc)")
    made = Bench(tmp_path_factory.mktemp("pairs"), removals=True, delta=request.param)
    yield made
    made.close()
    print("\npairs:", ", ".join(f"{count} {what}" for what, count in TRIED.items()))


@pytest.mark.parametrize(("one", "two"), PAIRS)
def test_changes_at_once_are_one_after_the_other(one: str, two: str, bench: Bench) -> None:
    pair = Pair(bench, CHANGES[one], CHANGES[two])
    orders = [pair.after(0, 1), pair.after(1, 0)]
    alone = pair.after(1)
    killed = -signal.SIGKILL
    with_killed = [(*order[:2], killed, order[3]) for order in (*orders, alone)]
    for at in range(1, 200):
        for kill in (False, True):
            found = pair.meet(at, kill=kill)
            if found is None:
                return
            allowed = with_killed if kill else orders
            where = f"at {at}, {'killed' if kill else 'continued'}: {point(bench, at)}"
            assert found in allowed, f"{where}\ncodes {found[2:]} of {[a[2:] for a in allowed]}\n" + differences(
                found[:2], [order[:2] for order in allowed]
            )
    pytest.fail("more points than there can be")

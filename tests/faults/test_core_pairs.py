"""Two processes change the same names. One stops at each of its points in turn, the other does its whole change, and
then the first continues, or is killed. The result must be that of the two changes one after the other, in one of the
orders.

Rules 2 and 3 of vfs/csrc/core/change/remove.c, rename.c and copyup.c promise this for changes without the lock: copies
that are published without it, removals that are only noted, files that only the upper has.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest

from tests.faults.bench import Bench, wait, walk
from tests.faults.test_removal_points import append, differences, make, mkdir, point, rename, rmdir, unlink

pytestmark = [
    pytest.mark.long_form,
    pytest.mark.once,
    pytest.mark.skipif(not os.environ.get("ROOTLAY_TEST_LONG"), reason="takes minutes: set ROOTLAY_TEST_LONG"),
]

TRIED: Counter[str] = Counter()
LOCKED_S = 0.08  # if it has not ended after this time, it waits for the lock that the other holds
PATIENCE_S = 20

Change = Callable[[Any], object]
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


class Pair:
    """Two changes of one upper."""

    def __init__(self, bench: Bench, one: Change, two: Change) -> None:
        self.bench, self.one, self.two = bench, one, two
        self.place = bench.base / "place"

    def begin(self) -> None:
        shutil.rmtree(self.place, ignore_errors=True)
        self.bench.make(self.place)

    def start(self, change: Change, at: int = 0) -> tuple[int, int]:
        """Start a process that has read the tree. A byte starts its change; it may stop at one of its points."""
        read_end, write_end = os.pipe()

        def operation(native: Any) -> None:
            os.close(write_end)
            dict(walk(native.core(), reads=False))
            os.read(read_end, 1)
            if at:
                self.bench.control.arm(at, "stop")
            change(native)
            native.settle()

        pid = self.bench.fork(self.place, operation)
        os.close(read_end)
        return pid, write_end

    def after(self, *numbers: int) -> tuple[object, ...]:
        """Return the result of the changes one after the other: the shown tree, and both exit codes."""
        self.begin()
        codes = {}
        for number in numbers:
            pid, pipe = self.start((self.one, self.two)[number])
            go(pipe)
            codes[number] = os.waitstatus_to_exitcode(ended(pid))
        return (*self.shown(), codes.get(0), codes.get(1))

    def shown(self) -> tuple[Any, ...]:
        return self.bench.seen(self.place), self.bench.shown(self.place, since_ns=0)

    def meet(self, at: int, *, kill: bool) -> tuple[object, ...] | None:
        """Make the second change while the first is stopped at a point. Return None if the first has no such point."""
        self.begin()
        first, first_pipe = self.start(self.one, at)
        second, second_pipe = self.start(self.two)
        go(first_pipe)
        status = wait(first, PATIENCE_S)
        assert status is not None, "it hangs"
        stopped = os.WIFSTOPPED(status)
        if not stopped:
            self.bench.control.disarm()  # the second has points, too
        go(second_pipe)
        other = wait(second, LOCKED_S) if stopped else None
        TRIED["waited for the lock"] += stopped and other is None
        if stopped:
            os.kill(first, signal.SIGKILL if kill else signal.SIGCONT)
            status = ended(first)
        if other is None:
            other = ended(second)
        self.bench.control.disarm()
        if not stopped:
            return None
        TRIED["killed" if kill else "continued"] += 1
        if not kill and any((self.place / "upper").rglob(".wh..wh.t.*")):
            TRIED["left a temporary file"] += 1  # in a directory that was moved: it is swept later
        return (*self.shown(), *(os.waitstatus_to_exitcode(code) for code in (status, other)))


def go(pipe: int) -> None:
    os.write(pipe, b"1")
    os.close(pipe)


def ended(pid: int) -> int:
    status = wait(pid, PATIENCE_S)
    if status is None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        pytest.fail("it hangs")
    return status


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

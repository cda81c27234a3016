"""A program that removes files of the image dies, or gets an error, at every point. The points include the steps
between system calls that change only the removal map (docs/format.md §7a).

After each fault, a new process, Python, and a reader without the map must show the same tree: that of the finished
steps, or that of the finished steps and the next one.
"""

from __future__ import annotations

import errno
import mmap
import os
import random
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rootlay.vfs.overlay.renameat import RENAME_EXCHANGE
from tests.faults.bench import Bench, Tree
from tests.faults.control import ACTIONS
from tests.faults.meeting import Pair
from tests.vfs.test_crash import State

pytestmark = [pytest.mark.long_form, pytest.mark.once]

LONG = bool(os.environ.get("ROOTLAY_TEST_LONG"))
TRIED: Counter[str] = Counter()

Step = Callable[[Any], object]


def make(path: str) -> Step:
    return lambda o: os.close(o.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def append(path: str) -> Step:
    def step(o: Any) -> None:
        fd = o.open(path, os.O_WRONLY | os.O_APPEND)
        os.write(fd, b"more")
        os.close(fd)

    return step


def unlink(path: str) -> Step:
    return lambda o: o.unlink(path)


def rmdir(path: str) -> Step:
    return lambda o: o.rmdir(path)


def mkdir(path: str) -> Step:
    return lambda o: o.mkdir(path, 0o755)


def rename(old: str, new: str, flags: int = 0) -> Step:
    return lambda o: o.rename(old, new, flags)


def sync(o: Any) -> None:
    o.sync()


SCRIPTS: dict[str, tuple[Step, ...]] = {
    "rm -r": (unlink("/d/f"), unlink("/d/sub/x"), rmdir("/d/sub"), rmdir("/d")),
    "rm, sync, rm": (unlink("/d/f"), sync, unlink("/d/sub/x"), sync),
    "rm and move the directory": (unlink("/d/f"), unlink("/d/sub/x"), rename("/d", "/u/d"), rmdir("/u/d/sub")),
    "rm -r of a moved directory and its parent": (
        *(rename("/d", "/v/d"), unlink("/v/d/f"), unlink("/v/d/sub/x"), rmdir("/v/d/sub"), rmdir("/v/d"), rmdir("/v")),
    ),
    "rm -r of a moved directory, another in its parent's place": (
        *(rename("/d/sub", "/v/d"), unlink("/v/d/x"), rmdir("/v/d"), rename("/u", "/v"), unlink("/v/f")),
    ),
    "rm and exchange directories": (unlink("/d/sub/x"), rename("/d/sub", "/u", RENAME_EXCHANGE), unlink("/d/sub/f")),
    "rm and make again": (unlink("/d/f"), make("/d/f"), sync, unlink("/d/f"), make("/d/f")),
    "rmdir and mkdir": (rmdir("/empty"), mkdir("/empty"), make("/empty/n"), unlink("/empty/n"), rmdir("/empty")),
    "rm -r and the same names again": (
        *(unlink("/d/f"), unlink("/d/sub/x"), rmdir("/d/sub"), rmdir("/d"), mkdir("/d"), mkdir("/d/sub")),
        *(make("/d/sub/x"), rename("/d/sub", "/v/sub"), rmdir("/d")),
    ),
    "copy and rm": (append("/d/f"), unlink("/d/f"), append("/d/sub/x"), rename("/d/sub/x", "/d/f")),
    "rm and move in its place": (unlink("/d/f"), rename("/d/sub/x", "/d/f"), rmdir("/d/sub"), rename("/u", "/d/sub")),
    "rm and link in its place": (unlink("/d/f"), lambda o: o.link("/u/f", "/d/f"), unlink("/d/f"), sync),
}
SHORT = ("rm and make again",)
EVERY = 1 if LONG else 4


@pytest.fixture(
    scope="module", params=[False, True] if LONG else [True], ids=lambda delta: "delta" if delta else "whole"
)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    if not shutil.which("cc"):
        pytest.skip("needs a C compiler (cc)")
    made = Bench(tmp_path_factory.mktemp("removals"), removals=True, delta=request.param)
    yield made
    made.close()
    print("\nremovals:", ", ".join(f"{count} x {action}" for action, count in TRIED.items()))


class Script:
    """The steps, and the number of steps that the last run has finished."""

    def __init__(self, bench: Bench, steps: tuple[Step, ...]) -> None:
        self.bench, self.steps = bench, steps
        self.place = bench.base / "place"
        self._done = mmap.mmap(-1, 1)

    def run(self, first: int = 0, last: int | None = None, at: int = 0, action: str = "kill") -> tuple[int, int]:
        """Run some of the steps in a process that ends as those of the engine. Return its exit code and its points."""

        def operation(native: Any) -> None:
            for number, step in enumerate(self.steps[:last]):
                if number >= first:
                    step(native)
                    self._done[0] = number + 1
            native.settle()

        status, points = self.bench.run(self.place, operation, at, action)
        return os.waitstatus_to_exitcode(status), points

    def begin(self) -> None:
        shutil.rmtree(self.place, ignore_errors=True)
        self.bench.make(self.place)
        self._done[0] = 0

    @property
    def done(self) -> int:
        return self._done[0]

    def shown(self) -> tuple[Tree, State, State]:
        """Return the tree of the core, of Python and of a reader without the map. The last two write whiteouts."""
        seen, shown = self.bench.seen(self.place), self.bench.shown(self.place)
        kept = self.place / "removed"
        kept.rename(kept.with_name("kept"))
        without = self.bench.shown(self.place)
        kept.with_name("kept").rename(kept)
        return seen, shown, without


@pytest.mark.parametrize("action", ACTIONS if LONG else ("kill",))
@pytest.mark.parametrize("name", SCRIPTS if LONG else SHORT)
def test_no_removal_is_lost_or_half_done(name: str, action: str, bench: Bench) -> None:
    script = Script(bench, SCRIPTS[name])
    states = []
    for count in range(len(script.steps) + 1):
        script.begin()
        code, points = script.run(last=count)
        assert code == 0
        states.append(script.shown())
        assert states[-1][1] == states[-1][2], count
    for at in range(random.randint(1, EVERY), points + 1, EVERY):
        script.begin()
        code, reached = script.run(at=at, action=action)
        TRIED[action] += reached >= at
        assert code == -signal.SIGKILL if action == "kill" else code in (0, ACTIONS[action]), (at, code)
        done = script.done
        allowed = states[done : done + 1 + (code != 0)]
        found = script.shown()
        where = f"{action} at {at}, after {done} steps: {point(bench, at)}"
        assert found in allowed, f"{where}\n{differences(found, allowed)}"
        if code:
            first = done + (found != allowed[0])
            again = script.run(first=first)[0]
            assert again == 0, where
            assert script.shown() == states[-1], where


@pytest.mark.parametrize("removals", [True, False], ids=["map", "whiteouts"])
def test_of_a_removal_and_a_move_of_a_file_at_once_one_fails(removals: bool, bench: Bench) -> None:
    """The removal stands at a point until the move is done; then, where it hides the name, until the move has come to
    one of its own points under the lock."""
    pair = Pair(bench, unlink("/d/f"), rename("/d/f", "/d/n"))
    bench.removals = removals
    try:
        allowed = [pair.after(0, 1), pair.after(1, 0)]
        assert sorted(codes[2:] for codes in allowed) == [(0, errno.ENOENT), (errno.ENOENT, 0)]
        ours = pair.points()
        hides = max(n for n, name in enumerate(ours, 1) if name == ("set a removal" if removals else "mknod"))
        for at in range(1, len(ours) + 1) if LONG else (hides - 1, hides):
            found = pair.meet(at, kill=False)
            assert found is None or found in allowed, (at, ours[at - 1], found[2:])
        theirs = pair.points(hides)
        for at in range(theirs.index("rename") + 1, len(theirs) + 1):
            if LONG or theirs[at - 1] in ("mknod", "rename"):
                found = pair.meet_in_both(hides, at)
                assert found in allowed, (at, theirs[at - 1], found[2:])
    finally:
        bench.removals = True


def point(bench: Bench, at: int) -> str:
    lines = (bench.base / "log").read_text().splitlines()
    return next((line for line in reversed(lines) if line.startswith(f"{at}\t")), "not reached")


def differences(found: tuple[Any, ...], allowed: list[tuple[Any, ...]]) -> str:
    """Return the differences from each allowed state, for the message."""
    rows = []
    for wanted in allowed:
        for who, one, other in zip(("core", "Python", "without a map"), found, wanted, strict=False):
            rows += [
                f"{who} {p!r}: {one.get(p)} {other.get(p)}"
                for p in one.keys() | other.keys()
                if one.get(p) != other.get(p)
            ]
        rows.append("--")
    return "\n".join(rows)

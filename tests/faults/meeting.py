"""Two processes that change one upper: one stops at a point (engine.c) while the other works."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.bench import Bench, wait, walk

Change = Callable[[Any], object]
TRIED: Counter[str] = Counter()
LOCKED_S = 0.08  # so long without an end: it waits for the lock that the other holds
PATIENCE_S = 20
NOWHERE = 1 << 30  # no change has so many points


class Pair:
    """Two changes of one upper."""

    def __init__(self, bench: Bench, one: Change, two: Change) -> None:
        self.bench, self.one, self.two = bench, one, two
        self.place = bench.base / "place"

    def begin(self) -> None:
        shutil.rmtree(self.place, ignore_errors=True)
        self.bench.make(self.place)

    def start(self, change: Change, at: int = 0) -> tuple[int, int]:
        """A process that knows the tree, and makes the change when a byte comes, or stops at one of its points."""
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
        """What comes of the changes one after the other: what is shown, and the exit codes of the first and second."""
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
        """The second while the first stands at a point. None: the first has no such point."""
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

    def meet_in_both(self, at: int, other_at: int) -> tuple[object, ...]:
        """The first stands at a point until the second stands at one of its own; then the first goes on, and the second
        when it has ended, or waits."""
        self.begin()
        first, first_pipe = self.start(self.one, at)
        second, second_pipe = self.start(self.two, other_at)
        go(first_pipe)
        status = wait(first, PATIENCE_S)
        go(second_pipe)
        other = wait(second, PATIENCE_S)
        self.bench.control.disarm()
        if status is None or other is None or not (os.WIFSTOPPED(status) and os.WIFSTOPPED(other)):
            for pid in (first, second):
                with contextlib.suppress(ProcessLookupError, ChildProcessError):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
            pytest.fail(f"one has not stopped: {status} {other}")
        os.kill(first, signal.SIGCONT)
        status = wait(first, LOCKED_S)
        os.kill(second, signal.SIGCONT)
        codes = ended(first) if status is None else status, ended(second)
        return (*self.shown(), *(os.waitstatus_to_exitcode(code) for code in codes))

    def points(self, at: int = 0) -> list[str]:
        """The names of the points of the first change, in their order. `at`: those of the second, while the first
        stands at this point."""
        self.begin()
        first = self.start(self.one, at) if at else None
        if first:
            go(first[1])
            wait(first[0], PATIENCE_S)
        (self.bench.base / "log").unlink(missing_ok=True)
        pid, pipe = self.start(self.two if at else self.one, NOWHERE)
        go(pipe)
        ended(pid)
        self.bench.control.disarm()
        lines = (self.bench.base / "log").read_text().splitlines()
        if first:
            os.kill(first[0], signal.SIGKILL)
            ended(first[0])
        return [line.split("\t")[1].removeprefix("core ") for line in lines]


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

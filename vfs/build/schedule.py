"""Parallel runs of stages, each as soon as its requirements are ready.

Rules:
1. The calling thread only waits, so that Ctrl-C reaches it at once. A signal that comes right before its wait in the
   kernel does not end that wait, so no wait is longer than `POLL_S`.
2. The first error, or Ctrl-C, calls `cancel` once, then waits until all running work has ended; no new work is started.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from rootlay.vfs.build.result.failure import BuildCancelled

Result = TypeVar("Result")
POLL_S = 0.25
AT_ONCE = max(2, os.cpu_count() or 1)


class Schedule(Generic[Result]):
    """Work by number, with the requirements of each.

    Args:
        needs: for each number, those that must finish before it.
        work: runs one, with the results so far (including those that it needs).
        cancel: ends running work soon, with an error.
    """

    def __init__(
        self,
        needs: Mapping[int, Sequence[int]],
        work: Callable[[int, Mapping[int, Result]], Result],
        cancel: Callable[[], None],
    ) -> None:
        self._needs = needs
        self._work = work
        self._cancel = cancel
        self._done: dict[int, Result] = {}
        self._started: set[int] = set()
        self._errors: list[BaseException] = []
        self._changed = threading.Condition()

    def run(self) -> dict[int, Result]:
        """Return all results by number. Raises the first error; KeyboardInterrupt."""
        threads: list[threading.Thread] = []
        try:
            with self._changed:
                while len(self._done) < len(self._needs) and not self._errors:
                    threads += [self._start(number) for number in self._ready()]
                    self._changed.wait(POLL_S)
        except BaseException as error:
            self._errors.insert(0, error)
        if self._errors:
            self._cancel()
        for thread in threads:
            thread.join()
        for found in self._errors:  # another stage's cancellation is a consequence, not the reason
            if not isinstance(found, BuildCancelled):
                raise found
        if self._errors:
            raise self._errors[0]
        return self._done

    def _ready(self) -> list[int]:
        room = AT_ONCE - (len(self._started) - len(self._done))
        waiting = [number for number in self._needs if number not in self._started]
        return [number for number in waiting if all(need in self._done for need in self._needs[number])][: max(0, room)]

    def _start(self, number: int) -> threading.Thread:
        self._started.add(number)
        thread = threading.Thread(target=self._one, args=(number,), name=f"rootlay-stage-{number}")
        thread.start()
        return thread

    def _one(self, number: int) -> None:
        try:
            result = self._work(number, self._done)
        except BaseException as error:
            with self._changed:
                self._errors.append(error)
                self._changed.notify()
            return
        with self._changed:
            self._done[number] = result
            self._changed.notify()

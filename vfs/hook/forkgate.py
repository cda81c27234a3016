"""A gate that prevents a fork during our Python work for a hook: the child would inherit locks without a holder.

`with busy(): …` marks such work. `os.fork` waits until no such work runs, and none starts meanwhile. Preparations for a
fork (`first`) happen before that, because later Python holds its import lock.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator

first: list[Callable[[], None]] = []
_gate = threading.Condition()
_running = 0
_forking = False
_own = threading.local()


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """Mark the block as work that a fork waits for. Nestable."""
    global _running
    depth = getattr(_own, "depth", 0)
    with _gate:
        while _forking and not depth:
            _gate.wait()
        _running += 1
    _own.depth = depth + 1
    try:
        yield
    finally:
        _own.depth = depth
        with _gate:
            _running -= 1
            _gate.notify_all()


def _before() -> None:
    global _forking
    for function in first:
        function()
    with _gate:
        while _forking:
            _gate.wait()
        _forking = True
        while _running > getattr(_own, "depth", 0):
            _gate.wait()


def _in_parent() -> None:
    global _forking
    with _gate:
        _forking = False
        _gate.notify_all()


def _in_child() -> None:
    global _forking, _running, _gate
    _gate = threading.Condition()
    _running, _forking = getattr(_own, "depth", 0), False


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)

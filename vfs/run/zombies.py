"""Child processes that end by themselves."""

from __future__ import annotations

import os

_LEFT: set[int] = set()


def leave(pid: int) -> None:
    """Remember a child to be collected later."""
    _LEFT.add(pid)


def reap_hydrators() -> None:
    """Collect the exit statuses of hydrators that have exited, so that none stays a zombie."""
    for pid in list(_LEFT):
        try:
            done, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            done = pid
        if done:
            _LEFT.discard(pid)  # another thread may have collected it meanwhile

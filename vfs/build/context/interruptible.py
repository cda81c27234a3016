"""Work that waits for another machine, done where it can be given up.

A thread that waits for bytes from a network cannot be stopped from outside. So another one waits, and what asked for it
leaves when the build is stopped; the one left behind ends with its connection, or with the process. It may only write
where nobody looks before it has ended well.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from rootlay.store.layout.layout import Layout

T = TypeVar("T")
POLL_S = 0.1


def run_interruptibly(work: Callable[[], T], check: Callable[[], None], layout: Layout | None = None) -> T:
    """What `work` returns or raises; or what `check`, called again and again meanwhile, raises.

    Args:
        layout: of the store for whose import, if this thread has one, the work is done.
    """
    ended = threading.Event()
    outcome: list[Any] = []  # the result, or nothing and an error
    errors: list[BaseException] = []
    current = None if layout is None else layout.current

    def carry_out() -> None:
        try:
            if layout is None:
                outcome.append(work())
            else:
                with layout.joining(current):
                    outcome.append(work())
        except BaseException as error:  # it is the asker's
            errors.append(error)
        ended.set()

    threading.Thread(target=carry_out, name="rootlay-waiting", daemon=True).start()
    while not ended.wait(POLL_S):
        check()
    if errors:
        raise errors[0]
    found: T = outcome[0]
    return found

"""Work that waits for another machine, run so that it can be cancelled.

A thread that waits for bytes from a network cannot be stopped from outside. So a second thread waits, and the caller
returns when the build is stopped. The second thread ends with its connection, or with the process. It must only write
to places that are not read before it has succeeded.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from rootlay.store.layout.layout import Layout

T = TypeVar("T")
POLL_S = 0.1


def run_interruptibly(work: Callable[[], T], check: Callable[[], None], layout: Layout | None = None) -> T:
    """Return the result of `work` or raise its error; or raise the error of `check`, which is called meanwhile.

    Args:
        layout: the layout of the store; the work belongs to this thread's import there, if there is one.
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
        except BaseException as error:  # it belongs to the caller
            errors.append(error)
        ended.set()

    threading.Thread(target=carry_out, name="rootlay-waiting", daemon=True).start()
    while not ended.wait(POLL_S):
        check()
    if errors:
        raise errors[0]
    found: T = outcome[0]
    return found

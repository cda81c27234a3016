"""Blocking work for `async` code: a thread for each call, which ends the work when the task is cancelled.

Threads, not the loop's transports: the work is the same as that of the blocking calls, and holds on every event loop
of asyncio.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[int], T]) -> T:
    """Return the result of `work(stop)`, done in a thread, in a copy of the context.

    Args:
        work: ends soon after the descriptor `stop` has become readable: the task was cancelled.
    """
    loop = asyncio.get_running_loop()
    stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if not future.done():
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]  # None only if T has it

    def body() -> None:
        result, error = None, None
        try:
            result = work(stop)
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(settle, result, error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(body,), name="rootlay-run", daemon=True)
    thread.start()
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        os.eventfd_write(stop, 1)
        with contextlib.suppress(BaseException):  # its own end: Cancelled, or a result that came just now
            await asyncio.shield(future)
        raise
    finally:
        if not future.done():
            os.eventfd_write(stop, 1)
        await asyncio.to_thread(thread.join)
        os.close(stop)

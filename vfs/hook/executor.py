"""An executor whose threads are inside when their work was submitted inside.

A new thread starts with an empty context (PEP 567), so the workers of Python's own pools are outside for every caller.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class ContextThreadPoolExecutor(ThreadPoolExecutor):
    """A ThreadPoolExecutor whose work runs in a copy of the context of the caller of `submit` or `map`.

    One pool serves callers in different activations and outside. For asyncio's `run_in_executor`:
    `loop.set_default_executor(ContextThreadPoolExecutor())`. The `initializer` runs outside.
    """

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        run: Callable[..., R] = contextvars.copy_context().run
        submit: Callable[..., Future[R]] = super().submit
        return contextvars.Context().run(submit, run, fn, *args, **kwargs)  # outside: a worker may start

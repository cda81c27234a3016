"""Threads that are started inside an activation: whether they inherit it, and a warning if they do not.

Rules:
1. A new thread has an empty context (PEP 567), so it is outside. `activate(threads="inherit")` gives threads that are
   started inside, and those that these start, a copy of the context of their starter. So the workers of a pool that is
   made inside are inside, also those that replace others (multiprocessing.Pool starts them from a thread of its own).
2. Without it, a thread that is started inside works on the machine's files: that is told once for each place
   (ActivationWarning). A thread whose work brings a context is not: `Context.run`, ContextThreadPoolExecutor, and
   asyncio's default executor, which asyncio.to_thread uses.
3. `threading.Thread.start` is replaced when the first activation is entered. It does nothing else outside.
"""

from __future__ import annotations

import contextvars
import functools
import threading
import warnings
from contextvars import Context, ContextVar

from rootlay.vfs.hook.library import INSIDE

INHERITED: ContextVar[bool] = ContextVar("rootlay_threads_inherit", default=False)
_WITH_CONTEXT = ("asyncio", "rootlay")
"""Beginnings of the names of threads that run work in its own context."""


class ActivationWarning(RuntimeWarning):
    """Work that was started inside an activation goes to the machine's own files."""


@functools.cache
def watch_threads() -> None:
    """Apply the rules to threads from now on. Idempotent."""
    start = threading.Thread.start

    @functools.wraps(start)
    def start_here(self: threading.Thread) -> None:
        if INSIDE.get() is not None:
            if INHERITED.get():
                run = self.run
                context = contextvars.copy_context()
                self.run = lambda: context.run(run)  # type: ignore[method-assign]
            elif not _brings_context(self):
                text = (
                    f"the thread {self.name} starts outside of the container: it works on the machine's files; "
                    'use activate(threads="inherit"), or contextvars.copy_context().run'
                )
                warnings.warn(text, ActivationWarning, stacklevel=2)
        start(self)

    threading.Thread.start = start_here  # type: ignore[method-assign]


def _brings_context(thread: threading.Thread) -> bool:
    target = getattr(thread, "_target", None)
    if (getattr(target, "__module__", None) or "").startswith("asyncio."):
        return True  # the end of a loop
    return isinstance(getattr(target, "__self__", None), Context) or thread.name.startswith(_WITH_CONTEXT)

"""Ephemeral containers that nobody closes: they warn, and are removed all the same.

1. One that is dropped is removed when it is collected. The removal has a thread of its own: a collection may come at
   any moment, when its own thread holds locks that the removal needs.
2. One that somebody still has when the interpreter exits is removed then; behind the activations, which end first.
3. What a process leaves that is killed, or that exits by `os._exit`, `prune` finds (rootlay.store.disk.owner).
4. A forked child's copies are not its own: nothing happens to them.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import warnings
import weakref
from typing import TYPE_CHECKING

from rootlay.store.model.errors import RootlayError

if TYPE_CHECKING:
    from rootlay.vfs.api.container import Container

_open: weakref.WeakSet[Container] = weakref.WeakSet()


def opened(container: Container) -> None:
    """Nobody has closed it so far."""
    _open.add(container)


def closed(container: Container) -> None:
    """Somebody is about to."""
    _open.discard(container)


def dropped(container: Container) -> None:
    """Rule 1. Called by its finalizer, in the process that made it."""
    with contextlib.suppress(RuntimeError):  # no threads any more: the interpreter is past its exit functions (rule 3)
        threading.Thread(target=_close, args=(container,), name="rootlay-close").start()
    _warn(container)  # last: with `-W error` it raises


def _warn(container: Container) -> None:
    text = f"the ephemeral container {container.name} was never closed: use `with`, or call close()"
    warnings.warn(text, ResourceWarning, stacklevel=3, source=container)


def _close(container: Container) -> None:
    """It may be gone, or its store: there is nobody to be told."""
    with contextlib.suppress(RootlayError, OSError):
        container.close()


@atexit.register
def _at_exit() -> None:
    for container in list(_open):
        if os.getpid() == container.owner:
            try:
                _warn(container)
            finally:
                _close(container)

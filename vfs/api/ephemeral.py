"""Ephemeral containers that were not closed: they warn, and are removed all the same.

1. A container without references is removed when it is garbage-collected. The removal runs in a separate thread,
   because a collection can happen while its own thread holds locks that the removal needs.
2. A container that is still referenced when the interpreter exits is removed then, after the activations have ended.
3. `prune` finds the containers of a process that was killed, or that exited by `os._exit` (rootlay.store.disk.owner).
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
    from rootlay.vfs.api.handle import ContainerHandle

_open: weakref.WeakSet[ContainerHandle] = weakref.WeakSet()


def opened(container: ContainerHandle) -> None:
    """Record an open container."""
    _open.add(container)


def closed(container: ContainerHandle) -> None:
    """Record that a container is about to be closed."""
    _open.discard(container)


def dropped(container: ContainerHandle) -> None:
    """Apply rule 1. Called by the finalizer, in the process that made the container."""
    with contextlib.suppress(RuntimeError):  # no threads any more: the interpreter is past its exit functions (rule 3)
        threading.Thread(target=_close, args=(container,), name="rootlay-close").start()
    _warn(container)  # last: with `-W error` it raises


def _warn(container: ContainerHandle) -> None:
    text = f"the ephemeral container {container.name} was never closed: use `with`, or call close()"
    warnings.warn(text, ResourceWarning, stacklevel=3, source=container)


def _close(container: ContainerHandle) -> None:
    """Close and remove the container. It or its store may be missing: there is no caller to report that to."""
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

"""Whole-process mode: every thread of this process is permanently in one container (`rootlay python`).

Rules:
1. If a context has an activation, that activation applies: activations nest in it as elsewhere.
2. Threads without a Python context, and those that start with an empty one, are inside, too.
3. From the end of Python's atexit functions on the process is outside.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

from rootlay.vfs.api.container import Container
from rootlay.vfs.api.handle import own_variables
from rootlay.vfs.hook.activation import enter_box, whole_process
from rootlay.vfs.hook.library import hook_library

_kept: list[Container] = []


def enter_process(container: Container, *, cwd: str = "", environ: MutableMapping[str, str] | None = None) -> None:
    """Move the whole process inside, with all its threads, for good. Once per process, and not within an activation.

    Public as `rootlay.vfs.enter`. As an `initializer` of a pool it keeps all workers inside, also those that replace
    others: `multiprocessing.Pool(initializer=enter, initargs=(container,))`.

    Args:
        container: stays open until the process ends.
        cwd: directory inside; the container's working directory by default, or the root if it is missing.
        environ: `os.environ`: the variables that the container was made with are set in it.

    Raises:
        HookEngineMissing, UnknownUser: as `Container.activate`.
        FileNotFoundError, NotADirectoryError: `cwd` does not exist or is not a directory; the process is unchanged.
    """
    activation = container.activate(cwd=cwd or None)
    with activation:  # tests whether the directory exists, before any permanent change
        where = os.getcwd()
    inside = enter_box(activation.box)
    hook_library().everywhere(inside)
    os.chdir(where)
    whole_process.append(inside)
    _kept.append(container)
    if environ is not None:
        environ.update(own_variables(container.record))


enter = enter_process

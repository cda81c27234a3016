"""Whole-process mode: every thread of this process is in one container, for good (`rootlay python`).

Rules:
1. Where a context knows an activation, that counts: activations nest in it as elsewhere.
2. Threads without a Python context, and those that begin with an empty one, are inside, too.
3. From the end of Python's atexit functions on the process is outside.
"""

from __future__ import annotations

import os

from rootlay.vfs.api.container import Container
from rootlay.vfs.hook.activation import enter_box, whole_process
from rootlay.vfs.hook.library import hook_library

_kept: list[Container] = []


def enter_process(container: Container, *, cwd: str = "") -> None:
    """Take the whole process inside. Once a process, and not within an activation.

    Args:
        container: stays open until the process ends.
        cwd: directory inside; the container's working directory by default, or the root where it is missing.

    Raises:
        HookEngineMissing, UnknownUser: as `Container.activate`.
        FileNotFoundError, NotADirectoryError: `cwd` is not there; the process is as it was.
    """
    activation = container.activate(cwd=cwd or None)
    with activation:  # tells whether the directory is there, before anything is changed for good
        where = os.getcwd()
    inside = enter_box(activation.box)
    hook_library().everywhere(inside)
    os.chdir(where)
    whole_process.append(inside)
    _kept.append(container)

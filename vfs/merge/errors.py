"""Errors of file system operations: an errno, with the path as the caller named it.

1. Every operation of the overlay raises `OSError` (or the subclass Python gives that errno), as the kernel
   would for the same call on a plain directory. Nothing else is raised for what an image can contain.
2. `filename` is the virtual path that was passed in. A real path never shows.
"""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from rootlay.store.model.errors import RootlayError
from rootlay.vfs.merge import longpath

P = ParamSpec("P")
R = TypeVar("R")


def os_error(code: int, path: bytes | None = None, path2: bytes | None = None) -> OSError:
    """Return the OSError of an errno for a virtual path (or two: `link`, `rename`)."""
    name = None if path is None else os.fsdecode(path)
    if path2 is None:
        return OSError(code, os.strerror(code), name)
    return OSError(code, os.strerror(code), name, None, os.fsdecode(path2))


def operation(paths: int = 1) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a method of a file system object whose first `paths` arguments are virtual paths.

    Errors of its real calls get the virtual names. Descriptors for long paths are closed when the outermost operation
    ends.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            mark = longpath.enter()
            try:
                return function(*args, **kwargs)
            except OSError as error:
                raise _renamed(error, args[1 : 1 + paths]) from error.__cause__
            except RootlayError as error:  # a damaged or unreadable image: the kernel's error for it
                raise _renamed(OSError(errno.EIO, ""), args[1 : 1 + paths]) from error
            finally:
                longpath.leave(mark)

        return run

    return decorate


def _renamed(error: OSError, names: tuple[Any, ...]) -> OSError:
    code = error.errno if error.errno is not None else 0
    shown = [str(name) if not isinstance(name, bytes) else os.fsdecode(name) for name in names]
    if len(shown) > 1:
        return OSError(code, os.strerror(code), shown[0], None, shown[1])
    return OSError(code, os.strerror(code), *shown)

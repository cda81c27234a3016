"""Classes that work on the real files of a container even if the calling code is inside an activation.

The file system objects and the handles of containers use the real files of the store. A class that is marked here does
so whatever the calling thread's context sees. This is free until the first activation of the process.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

T = TypeVar("T")

_bypass: Callable[[int], None] | None = None


def set_bypass(bypass: Callable[[int], None]) -> None:
    """Set the function that moves the calling thread outside (`bypass(1)`) and back (`bypass(-1)`).

    The hook engine calls this once.
    """
    global _bypass
    _bypass = bypass


def bypasses_hooks(cls: type[T]) -> type[T]:
    """Run the public methods and properties of the decorated class outside. None of them may be a generator."""
    for name, member in list(vars(cls).items()):
        if name.startswith("_") and name not in ("__enter__", "__exit__"):
            continue
        if isinstance(member, FunctionType):
            setattr(cls, name, _outside(member))
        elif isinstance(member, property) and member.fget:
            setattr(cls, name, property(_outside(member.fget), doc=member.__doc__))
    return cls


def _outside(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def outside(*arguments: Any, **options: Any) -> Any:
        bypass = _bypass
        if bypass is None:
            return function(*arguments, **options)
        bypass(1)
        try:
            return function(*arguments, **options)
        finally:
            bypass(-1)

    return outside

"""Real paths longer than the kernel takes.

A virtual path may have 4095 bytes, and the directory of the layer comes on top. A descriptor of a directory
half-way down stands for the first part: `/proc/self/fd/N/rest`. The descriptors of one operation are closed
when it ends (`enter`, `leave`), thus no cache can go stale when a directory is renamed.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import TypeVar

from rootlay.vfs.path import PATH_MAX_BYTES

T = TypeVar("T")

_CHUNK_BYTES = 4000
_FLAGS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Open(threading.local):
    def __init__(self) -> None:
        self.descriptors: list[int] = []


_open = _Open()


def enter() -> int:
    """Begin an operation; pass the result to `leave`."""
    return len(_open.descriptors)


def leave(mark: int) -> None:
    """Close what was opened since `enter`."""
    while len(_open.descriptors) > mark:
        os.close(_open.descriptors.pop())


@contextlib.contextmanager
def operation() -> Iterator[None]:
    """One operation."""
    mark = enter()
    try:
        yield
    finally:
        leave(mark)


def usable(path: bytes) -> bytes:
    """A path for the same object that the kernel accepts. Valid until the operation ends.

    Raises:
        OSError: a directory on the way does not exist.
    """
    if len(path) < PATH_MAX_BYTES:
        return path
    base = -1
    while len(path) > _CHUNK_BYTES:
        cut = path.rindex(b"/", 0, _CHUNK_BYTES)
        base = os.open(path[:cut], _FLAGS, dir_fd=None if base < 0 else base)
        _open.descriptors.append(base)
        path = path[cut + 1 :]
    return b"/proc/self/fd/%d/%s" % (base, path)


def scoped(items: Iterator[T]) -> Iterator[T]:
    """The same items, of which each is made by an operation of its own."""
    while True:
        with operation():
            try:
                item = next(items)
            except StopIteration:
                return
        yield item

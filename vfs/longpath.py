"""Real paths longer than the kernel takes, and such as must not lead through links.

A virtual path may have 4095 bytes, and the directory of the layer comes on top. A descriptor of a directory
half-way down stands for the first part: `/proc/self/fd/N/rest`. The descriptors of one operation are closed
when it ends (`enter`, `leave`), thus no cache can go stale when a directory is renamed.

Where a hostile program can replace directories by links meanwhile, a path is `guarded`: every step is taken by a
descriptor, and never through a link.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import TypeVar

from rootlay.vfs.path import NAME_MAX_BYTES, PATH_MAX_BYTES

T = TypeVar("T")

_CHUNK_BYTES = 4000
_FLAGS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_KNOWN_MAX = 64
_PINNED = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class _Open(threading.local):
    def __init__(self) -> None:
        self.depth = 0  # of operations inside each other
        self.descriptors: list[int] = []
        self.known: dict[tuple[bytes, bytes], int] = {}  # directories that this operation has walked to


_open = _Open()


def enter() -> int:
    """Begin an operation; pass the result to `leave`."""
    if not _open.depth:
        _close(0)  # of calls that were in no operation
    _open.depth += 1
    return len(_open.descriptors)


def leave(mark: int) -> None:
    """Close what was opened since `enter`."""
    _open.depth -= 1
    _close(mark)


def held() -> int:
    """How many descriptors this thread keeps open."""
    return len(_open.descriptors)


def _close(mark: int) -> None:
    if _open.known:
        _open.known.clear()
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
        base = _keep(os.open(path[:cut], _FLAGS, dir_fd=None if base < 0 else base))
        path = path[cut + 1 :]
    return b"/proc/self/fd/%d/%s" % (base, path)


def roomy(path: bytes) -> bytes:
    """As `usable`, of a directory, with room for a name behind it: os.scandir asks for its entries by such paths."""
    if len(path) + NAME_MAX_BYTES + 1 < PATH_MAX_BYTES:
        return path
    return b"/proc/self/fd/%d" % _keep(os.open(usable(path), _FLAGS))


def guarded(top: bytes, path: bytes) -> bytes:
    """A path for the same object as `top` + `path`, below `top` whatever is done there. Valid until the operation ends.

    A link in the place of the last component is not followed here; the system call decides.

    Raises:
        OSError: ENOTDIR where a directory on the way is none, or a link by now; ENOENT.
    """
    directory, _, name = path.rpartition(b"/")
    return b"/proc/self/fd/%d/%s" % (_walk(top, directory), name) if name else top


def pinned(top: bytes, path: bytes) -> bytes:
    """A path that is the object itself, to be followed; if it is a link, the link. Else as `guarded`."""
    directory, _, name = path.rpartition(b"/")
    base = _walk(top, directory)
    if name:
        base = _keep(os.open(name, _PINNED, dir_fd=base))
    return b"/proc/self/fd/%d" % base


def _walk(top: bytes, directory: bytes) -> int:
    """A descriptor of a directory, closed when the operation ends; outside of any, when the next one begins."""
    known = _open.known if _open.depth else {}
    found = known.get((top, directory))
    if found is not None:
        return found
    names: list[bytes] = []
    place = directory
    while place and found is None:
        place, _, name = place.rpartition(b"/")
        names.append(name)
        found = known.get((top, place))
    if found is None:
        found = known[top, b""] = _keep(os.open(top, _FLAGS))
    passing = False
    while names:
        name = names.pop()
        place += b"/" + name
        below = os.open(name, _FLAGS, dir_fd=found)
        if passing:
            os.close(_open.descriptors.pop())
        passing = len(known) >= _KNOWN_MAX  # far down: of the steps of a walk only the last is kept
        if not passing:
            known[top, place] = below
        found = _keep(below)
    return found


def _keep(descriptor: int) -> int:
    _open.descriptors.append(descriptor)
    return descriptor


def scoped(items: Iterator[T]) -> Iterator[T]:
    """The same items, of which each is made by an operation of its own."""
    while True:
        with operation():
            try:
                item = next(items)
            except StopIteration:
                return
        yield item

"""Real paths below a directory that another process may change: each step by a descriptor, never through a link.

A container's upper belongs to its programs, and a program that has left the engine may outlive every session. So code
that works on the upper from outside does not trust a path of names: it descends by descriptors of directories, and
never through a symbolic link. This also avoids paths that are too long for the kernel: `/proc/self/fd/N/name` has one
name.

1. The descriptors of one operation are closed when it ends (`enter`, `leave`), thus no cache becomes stale when a
   directory is renamed. Those of a walk (`scoped`) are kept from one item to the next: a directory that is renamed
   meanwhile is still one that was reached from the top.
2. The results of `guarded` and `pinned` are valid until the operation ends, that of `place` until the next call here.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

_TOP = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_FLAGS = _TOP | os.O_NOFOLLOW
_PINNED = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_KNOWN_MAX = 64
_Key = tuple[bytes, bytes]


class Held:
    """The descriptors of an operation or a walk."""

    __slots__ = ("depth", "known", "lent")

    def __init__(self) -> None:
        self.depth = 0  # nested operations
        self.known: dict[_Key, int] = {}  # by top and directory; the last used one is at the end
        self.lent: list[int] = []  # base of paths that a caller still has

    def directory(self, top: bytes, place: bytes) -> int:
        """Return a descriptor of a directory. The next call may close it."""
        found = self.known.get((top, place))
        names: list[bytes] = []
        while place and found is None:
            place, _, name = place.rpartition(b"/")
            names.append(name)
            found = self.known.get((top, place))
        if found is None:
            found = self._add((top, b""), os.open(top or b"/", _TOP))
        while names:
            name = names.pop()
            place += b"/" + name
            found = self._add((top, place), os.open(name, _FLAGS, dir_fd=found))
        return found

    def lend(self, descriptor: int) -> int:
        """Keep a descriptor open until the operation ends."""
        if descriptor not in self.lent:
            self.lent.append(descriptor)
        return descriptor

    def give_back(self, mark: int) -> None:
        """Close descriptors that were lent since there were `mark` of them."""
        lent = self.lent[mark:]
        if lent:
            del self.lent[mark:]
            for descriptor in set(lent).difference(self.known.values()):
                os.close(descriptor)

    def __del__(self) -> None:
        self.give_back(0)
        self.forget()

    def forget(self) -> None:
        """Close all cached directories."""
        for descriptor in self.known.values():
            if descriptor not in self.lent:
                os.close(descriptor)
        self.known.clear()

    def _add(self, key: _Key, descriptor: int) -> int:
        known = self.known
        if len(known) >= _KNOWN_MAX:
            oldest = known.pop(next(iter(known)))
            if oldest not in self.lent:
                os.close(oldest)
        known[key] = descriptor
        return descriptor


class Below:
    """The objects below a directory of the host, whose own path is followed. For one thread, until it is collected.

    `filename` of an error is the whole path.
    """

    def __init__(self, top: bytes) -> None:
        self.top = top.rstrip(b"/")
        self._held = Held()

    def at(self, path: bytes, call: Callable[[bytes, int], T]) -> T:
        """Return the result of a call with the last name of `path` (`/a/b`; the top is `/`) and its directory."""
        directory, _, name = path.rpartition(b"/")
        try:
            return call(name or b".", self._held.directory(self.top, directory))
        except OSError as error:
            error.filename = os.fsdecode(self.top + path)
            raise

    def lstat(self, path: bytes) -> os.stat_result:
        """Return the status of an object; links are not followed."""
        return self.at(path, lambda name, directory: os.lstat(name, dir_fd=directory))

    def readlink(self, path: bytes) -> bytes:
        """Return the target of a link."""
        return self.at(path, lambda name, directory: os.readlink(name, dir_fd=directory))

    def listdir(self, path: bytes) -> list[bytes]:
        """Return the names in a directory, sorted by bytes."""
        descriptor = self.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with os.scandir(descriptor) as scan:  # os.listdir has all names as text at once: as much memory again
                return sorted(os.fsencode(entry.name) for entry in scan)
        finally:
            os.close(descriptor)

    def open(self, path: bytes, flags: int, mode: int = 0) -> int:
        """Return a descriptor, not inheritable. A link is not followed."""
        flags |= os.O_NOFOLLOW | os.O_CLOEXEC
        return self.at(path, lambda name, directory: os.open(name, flags, mode, dir_fd=directory))


class _Local(threading.local):
    def __init__(self) -> None:
        self.held = Held()


_local = _Local()


def enter() -> int:
    """Start an operation; pass the result to `leave`."""
    held = _local.held
    if not held.depth:  # of calls outside an operation
        held.give_back(0)
        held.forget()
    held.depth += 1
    return len(held.lent)


def leave(mark: int) -> None:
    """Close the descriptors that were opened since `enter`."""
    held = _local.held
    held.depth -= 1
    held.give_back(mark)
    if held.known:
        held.forget()


def held() -> int:
    """Return how many descriptors this thread keeps open."""
    return len({*_local.held.lent, *_local.held.known.values()})


@contextlib.contextmanager
def operation() -> Iterator[None]:
    """Make the block one operation."""
    mark = enter()
    try:
        yield
    finally:
        leave(mark)


@contextlib.contextmanager
def lending() -> Iterator[None]:
    """Close at the end what paths made inside stand on; the directories that were reached stay known.

    For one step of a walk that may take a thousand of them before it yields an item.
    """
    held = _local.held
    mark = len(held.lent)
    try:
        yield
    finally:
        held.give_back(mark)


def scoped(items: Iterator[T]) -> Iterator[T]:
    """Yield the items of a walk, each made by a separate operation; the directories on the way are kept open."""
    own = Held()
    own.depth = 1
    try:
        while True:
            outer, _local.held = _local.held, own
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                _local.held = outer
                own.give_back(0)
            yield item
    finally:
        own.forget()


def place(top: bytes, path: bytes) -> tuple[int | None, bytes]:
    """Return a descriptor (or None) and a name for the object at `top` + `path`. It stays below `top` in any case.

    A link as the last component is not followed here; the system call decides.

    Raises:
        OSError: ENOTDIR if a directory on the way is not a directory, or is now a link; ENOENT.
    """
    directory, _, name = path.rpartition(b"/")
    return (_directory(top, directory), name) if name else (None, top or b"/")


def guarded(top: bytes, path: bytes) -> bytes:
    """Return the same as `place`, as a path: for system calls that take no descriptor, and for later use."""
    directory, _, name = path.rpartition(b"/")
    if not name:
        return top or b"/"
    return b"/proc/self/fd/%d/%s" % (_local.held.lend(_directory(top, directory)), name)


def pinned(top: bytes, path: bytes) -> bytes:
    """Return a path that leads to the object itself when followed; for a link, to the link. Else as `guarded`."""
    directory, _, name = path.rpartition(b"/")
    base = _directory(top, directory)
    if name:
        base = os.open(name, _PINNED, dir_fd=base)
    return b"/proc/self/fd/%d" % _local.held.lend(base)


def _directory(top: bytes, directory: bytes) -> int:
    held = _local.held
    if not held.depth:  # outside an operation: no call reports that a directory is renamed
        held.forget()
    return held.directory(top, directory)

"""Removals that programs have only noted in the removal map become whiteouts (docs/format.md §7a).

1. The engine does this itself when a process ends, before it syncs, and before it renames a directory. Here it is done
   for processes that are still running, or were killed.
2. The upper's lock is held. A program that notes a removal meanwhile sees that, and waits for it.
3. The map belongs to the container's programs: every number in it is checked, and a file of another size is not used.
4. Entries are taken in the order of their numbers, so that a directory comes before its content: of a removed tree only
   its root needs a whiteout.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import groupby
from typing import TYPE_CHECKING

from rootlay.store.containers.bloom import REMOVED_HEADER_BYTES, RemovedHeader, removed_beside
from rootlay.store.view.native import ROOT_ID, NativeView
from rootlay.vfs.merge import longpath
from rootlay.vfs.merge.bloom import MOVED
from rootlay.vfs.merge.lookup import Found, Lookup
from rootlay.vfs.overlay.copyup import CopyUp

if TYPE_CHECKING:
    from rootlay.vfs.merge.stack import Stack
    from rootlay.vfs.overlay.upper import Upper


def write_through(stack: Stack, upper: Upper) -> None:
    """Make the missing whiteouts. Idempotent; after a crash the rest is made the next time.

    Precondition: the upper's lock is held.

    Raises:
        OSError: one cannot be made.
    """
    with _opened(stack) as opened:
        if opened is not None:
            fd, header, native = opened
            _write(fd, header, _Writer(stack, upper, native))


def sync_removals(stack: Stack, upper: Upper) -> None:
    """Sync the whiteouts of all removals in the map, also those that programs have made: the map is not read any more.

    Precondition: they are written through.

    Raises:
        OSError: a directory cannot be synced.
    """
    with _opened(stack) as opened:
        if opened is None:
            return
        fd, header, native = opened
        removed = os.pread(fd, header.map_bytes, REMOVED_HEADER_BYTES)
        parents = {_parent(native, number) for number in _numbers(removed) if number < header.entries} - {0}
        places = {path for parent in parents for path in _upwards(native.path(parent))}
    missing = [path for path in sorted(places) if not _sync(upper, path)]
    if missing and (upper.bloom is None or upper.bloom.may_have(b"", MOVED)):
        for path in upper.iter_hiding():  # a directory may have moved, with its whiteouts
            _sync(upper, path)


def _upwards(path: bytes) -> Iterator[bytes]:
    """Yield the path, and those of the directories above it, which may be new: of the root an empty one."""
    path = path.rstrip(b"/")
    while path:
        yield path
        path = path.rpartition(b"/")[0]
    yield b""


def _parent(native: NativeView, number: int) -> int:
    """Return the number of an entry's directory; 0 for the root, and for a bit that a program has set for no entry."""
    try:
        return native.entry(number).parent if number > ROOT_ID else 0
    except LookupError:
        return 0


def _sync(upper: Upper, path: bytes) -> bool:
    """Sync a directory. Return whether the upper has it."""
    try:
        with longpath.operation():
            fd = os.open(upper.pinned(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        return False
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    return True


@contextmanager
def _opened(stack: Stack) -> Iterator[tuple[int, RemovedHeader, NativeView] | None]:
    """Open the map of a stack's upper, and its view. None: there is no map of this view."""
    bloom = stack.upper.bloom
    open_native: Callable[[], NativeView] | None = getattr(stack.view, "open_native", None)  # those of a store have it
    if bloom is None or open_native is None:
        yield None
        return
    try:
        fd = os.open(removed_beside(bloom), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield None
        return
    try:
        header = RemovedHeader.parse(os.pread(fd, REMOVED_HEADER_BYTES, 0))
        if header is None or os.fstat(fd).st_size < header.file_bytes:
            yield None
            return
        with closing(open_native()) as native:
            fits = header == RemovedHeader.of(native.entries + 1, native.chain_id, native.base_chain_id)
            yield (fd, header, native) if fits else None
    finally:
        os.close(fd)


def _write(fd: int, header: RemovedHeader, writer: _Writer) -> None:
    removed = os.pread(fd, header.map_bytes, REMOVED_HEADER_BYTES)
    written = os.pread(fd, header.map_bytes, REMOVED_HEADER_BYTES + header.map_bytes)
    missing = int.from_bytes(removed, "little") & ~int.from_bytes(written, "little")
    waiting = [number for number in _numbers(missing.to_bytes(header.map_bytes, "little")) if number < header.entries]
    with longpath.operation():
        for parent, numbers in groupby(waiting, writer.parent_of):
            missing &= ~sum(1 << number for number in writer.hide(parent, list(numbers)))
    done = (missing | int.from_bytes(written, "little")).to_bytes(header.map_bytes, "little")
    os.pwrite(fd, done, REMOVED_HEADER_BYTES + header.map_bytes)


def _numbers(bits: bytes) -> Iterator[int]:
    for at, byte in enumerate(bits):
        if byte:
            yield from (at * 8 + bit for bit in range(8) if byte >> bit & 1)


class _Writer:
    """One write-through: the directories of the view as they show now."""

    def __init__(self, stack: Stack, upper: Upper, native: NativeView) -> None:
        self._upper = upper
        self._native = native
        self._lookup = Lookup(stack)
        self._copy_up = CopyUp(self._lookup, upper)
        self._known: dict[int, Found | None] = {}

    def parent_of(self, number: int) -> int:
        return _parent(self._native, number)

    def hide(self, parent: int, numbers: list[int]) -> list[int]:
        """Make the whiteouts of entries of one directory, if it still shows at its own path.

        Return those whose name the upper has: an object hides them, and a program may be about to remove it.
        """
        directory = self._directory(parent) if parent else None
        if directory is None:
            return []
        paths = {number: directory.path + b"/" + self._native.entry(number).name for number in numbers}
        taken = [number for number, path in paths.items() if self._upper.layer.find_stat(path) is not None]
        if len(taken) < len(numbers):
            self._copy_up.ensure(directory)
            with self._upper.keeping_times(directory.path):  # it has got the time of the removal
                for number in paths.keys() - set(taken):
                    self._upper.add_whiteout(paths[number])
        return taken

    def _directory(self, number: int) -> Found | None:
        """Return the directory of the view that has this number; None if it was removed or renamed."""
        chain: list[int] = []
        while number not in self._known and number > ROOT_ID:
            chain.append(number)
            number = self.parent_of(number)
            if number >= chain[-1]:
                return None  # a damaged view
        found = self._known[number] if number in self._known else self._lookup.root()
        for number in reversed(chain):
            below = found and self._lookup.child(found, self._native.entry(number).name)
            found = below if below is not None and below.is_dir and below.node and below.node.id == number else None
            self._known[number] = found
        return found

"""A cache of objects in layers that do not change: found again without access to any layer.

1. It is used only if every layer but the upper is immutable: the image's view and frozen uppers. Layers that other
   processes may change (a `--lower`, the machine's own root) are not cached.
2. It holds existing objects under their canonical paths: without links on the way, and not links themselves. Absent
   names are not cached.
3. The upper is checked each time, without a system call: no directory of it was removed or renamed since (the counts of
   docs/format.md §7), and it has nothing of this name (the Bloom filter). A file system without an upper does not
   change.
4. It is for reading only: an operation that changes something does all look-ups again, under the upper's lock.
5. It is safe for threads without a lock: a result is added to the era in which the search began, and an era that has
   ended is not used any more.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

from rootlay.store.containers.bloom import REMOVALS_OFFSET
from rootlay.vfs.merge import longpath
from rootlay.vfs.merge.bloom import FNV_START, Bloom, fnv1a
from rootlay.vfs.merge.bypass import bypasses_hooks
from rootlay.vfs.merge.listing import list_directory
from rootlay.vfs.merge.lookup import Found, Lookup
from rootlay.vfs.merge.path import NAME_MAX_BYTES
from rootlay.vfs.merge.stack import Stack
from rootlay.vfs.merge.whiteout import is_reserved

if TYPE_CHECKING:
    import mmap

OBJECTS_MAX = 100_000
"""Maximum number of objects and names in the cache, some 50 MB; above it, the cache is emptied at once."""

LOOKED_MAX = 200
"""Length of a path up to which directories on the way are looked up to be cached."""

Position = tuple[int, int, int, int]
"""The place of a path's two bits in the filter: byte, mask, byte, mask."""

_NOWHERE = (0, 0, 0, 0)
_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()


class Names:
    """The names in a directory, sorted by bytes: all with their st_mode types, the directories, the others."""

    __slots__ = ("directories", "has_links", "others", "types")

    def __init__(self, types: list[tuple[str, int]]) -> None:
        self.types = types
        kinds = {kind for _, kind in types}
        has_directories = stat.S_IFDIR in kinds
        self.directories = [name for name, kind in types if kind == stat.S_IFDIR] if has_directories else []
        self.others = [name for name, kind in types if kind != stat.S_IFDIR]
        self.has_links = stat.S_IFLNK in kinds


class _Object:
    """A cached object. `hash` is the unfinished Bloom hash of its path; the hashes of its children continue it."""

    __slots__ = ("found", "hash", "names", "place")

    def __init__(self, found: Found, value: int, place: Position) -> None:
        self.found = found
        self.hash = value
        self.place = place
        self.names: Names | None = None


class Era:
    """The objects that were seen between two removals of directories of the upper."""

    __slots__ = ("counts", "objects", "size")

    def __init__(self, counts: bytes) -> None:
        self.counts = counts
        self.objects: dict[str, _Object] = {}
        self.size = 0


@bypasses_hooks
class LookupCache:
    """The cache of one overlay. Valid until the overlay is closed or bound to another stack."""

    def __init__(self, stack: Stack, lookup: Lookup, bloom: Bloom | None) -> None:
        """Cache the results of `lookup`. `bloom` is the filter of the upper, if there is one."""
        self._lookup = lookup
        self._stack = stack
        self._bloom = bloom
        self._map: mmap.mmap | None = None if bloom is None else bloom.map
        fixed = stack.dirs[1:] if stack.writable else stack.dirs
        counting = bloom is not None and bloom.counting if stack.writable else True
        self._removals = b""
        self._able = counting and all(layer.marks and layer.bloom is not None for layer in fixed)
        self._era = Era(b"")

    def forget(self) -> None:
        """Discard everything for good: the overlay is closed."""
        self._able = False

    def find(self, path: str) -> Found | None:
        """Return the object at a canonical path if it is cached or quickly found; None: unknown."""
        known = self._known(path)
        return None if known is None else known.found

    def names(self, path: str) -> Names | None:
        """Return the names in the directory at a canonical path if the upper has no part of it; None: unknown."""
        known = self._known(path)
        if known is None or not known.found.is_dir:
            return None
        if known.names is None:
            with longpath.operation():
                known.names = self._list(known.found)
            self._era.size += len(known.names.types)
        return known.names

    def begin(self) -> Era | None:
        """Begin a search by other means, whose result will be added. Return None if nothing can be cached now."""
        return self._current() if self._able else None

    def add(self, beginning: Era, path: str, found: Found) -> None:
        """Add the result of a search that began with `begin`, unless there were links on the way to it."""
        if (os.fsdecode(found.path) or "/") == path:
            self._add(beginning, path, found, self._hash(found.path))

    def _known(self, path: str) -> _Object | None:
        if not self._able:
            return None
        era = self._current()
        if era is None:
            return None
        known = era.objects.get(path)
        if known is None:
            with longpath.operation():
                return self._look(era, path)
        return known if self._holds(known) else None

    def _look(self, era: Era, path: str) -> _Object | None:
        """Look a name up in a directory that is cached, or can be."""
        directory, slash, name = path.rpartition("/")
        if not slash or len(directory) > LOOKED_MAX:
            return None
        if directory:
            parent = era.objects.get(directory) or self._look(era, directory)
            if parent is None or not parent.found.is_dir or not self._holds(parent):
                return None
            above, start = parent.found, parent.hash
        else:
            above, start = self._lookup.root(), FNV_START
        if name in ("", ".", "..") or "\0" in name:
            return None
        try:
            raw = os.fsencode(name)
        except UnicodeEncodeError:
            return None
        if len(raw) > NAME_MAX_BYTES or is_reserved(raw):
            return None
        found = self._lookup.child(above, raw)
        return None if found is None else self._add(era, path, found, self._hash(b"/" + raw, start))

    def _hash(self, path: bytes, start: int = FNV_START) -> int:
        return fnv1a(path, start) if self._bloom is not None else 0

    def _current(self) -> Era | None:
        """Return the current era; None while a directory is being removed or renamed."""
        era = self._era
        if self._map is None:
            return era
        removals = self._map[REMOVALS_OFFSET : REMOVALS_OFFSET + 8]
        if removals != self._removals:
            if removals[:4] != removals[4:]:
                return None  # the next look-up by other means writes them through, and sets their bits
            self._removals = removals
        counts = self._map[16:24]
        if counts != era.counts:
            if counts[:4] != counts[4:]:
                return None
            era = self._era = Era(counts)
        return era

    def _holds(self, known: _Object) -> bool:
        """Return whether the upper still has nothing of an object's name."""
        at, mask, at2, mask2 = known.place
        return self._map is None or not (self._map[at] & mask and self._map[at2] & mask2)

    def _add(self, era: Era, path: str, found: Found, value: int) -> _Object | None:
        if found.is_link or (self._stack.writable and found.is_in(0)):
            return None
        known = _Object(found, value, _NOWHERE if self._bloom is None else self._bloom.position(value))
        if not self._holds(known):
            return None
        if era.size >= OBJECTS_MAX:
            era.objects, era.size = {}, 0
        era.size += 1
        era.objects[path] = known
        return known

    def _list(self, directory: Found) -> Names:
        if directory.parts or self._stack.view is None:
            return Names([(os.fsdecode(entry.name), entry.type) for entry in list_directory(self._lookup, directory)])
        assert directory.node is not None  # it has no part
        listed = self._stack.view.list_types(directory.node.id)
        return Names([(name.decode(_ENCODING, _ERRORS), kind) for name, kind in listed])

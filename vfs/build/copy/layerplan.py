"""A layer before it is written: the objects that it adds, by path, over the tree below it.

Rules:
1. An existing directory keeps its attributes unless it is added again; a directory and something else at one path are
   an error in either order, as in BuildKit ("cannot copy to non-directory").
2. Parent directories of added objects are included with their attributes (existing or new): unpacking a layer without
   them would give them others.
3. Entries are written sorted by path, a directory before its content: the same plan gives the same layer.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from rootlay.store.layer.writer import LayerWriter
from rootlay.store.model.closing import Closing
from rootlay.store.model.entry import TYPE_BITS, Entry, EntryType
from rootlay.store.model.value import replace
from rootlay.vfs.build.context.source import OverlayTree, SourceEntry, join
from rootlay.vfs.build.copy.planentry import FileContent, Planned
from rootlay.vfs.build.copy.plantable import PlanTable
from rootlay.vfs.overlay.overlay import Overlay

DIRECTORY_MODE = 0o755
_REMEMBERED_MAX = 10_000


class Conflict(ValueError):
    """A directory and another object have the same path. The message is for the user."""


class LayerPlan(Closing):
    """The plan of a layer. Its paths are absolute and canonical: `vfs.build.context.source.resolve` resolves links.

    Use it as a context manager, or close it. Its memory does not grow with the number of files.

    Args:
        below: the tree below the layer; None if it must not be read (`COPY --link`).
        made_ns: the time of directories that are made on the way.
        directory: for data that does not fit into memory; None: a plan of a few entries.
    """

    def __init__(self, below: Overlay | None, made_ns: int, directory: Path | None = None) -> None:
        self._below = None if below is None else OverlayTree(below)
        self._made_ns = made_ns
        self._table = PlanTable(directory)
        # Whether directories exist at these paths below.
        self._directories: dict[bytes, bool] = {}

    def close(self) -> None:
        """Close the plan. Idempotent."""
        self._table.close()

    @property
    def is_apart(self) -> bool:
        """Whether the layer is the same over any tree."""
        return self._below is None

    # ---- the merged tree, as a LinkTree for `resolve`

    def lstat(self, path: bytes) -> SourceEntry | None:
        """Return the future object at a path: the planned one, else the one below."""
        entry = self._table.find_entry(path)
        if entry is None:
            return self._lstat_below(path)
        if entry.type is EntryType.WHITEOUT:
            return None
        return SourceEntry(TYPE_BITS[entry.type] | entry.mode, entry.uid, entry.gid, entry.size, entry.mtime_ns)

    def find(self, path: bytes) -> Planned | None:
        """Return the object at a path in this layer."""
        return self._table.find(path)

    def find_or_adopt(self, path: bytes) -> Planned | None:
        """Return the object at a path in this layer; a file below becomes part of it, so that it can get more names."""
        found = self._table.find(path)
        below = None if found is not None or self._below is None else self._lstat_below(path)
        if self._below is None or below is None or not stat.S_ISREG(below.mode):
            return found
        entry = Entry(
            EntryType.FILE, mode=stat.S_IMODE(below.mode), uid=below.uid, gid=below.gid, size=below.size,
            mtime_ns=below.mtime_ns, xattrs=self._below.xattrs(path),
        )  # fmt: skip
        content = FileContent(self._below.open, path)
        self._table.put(path, Planned(entry, content, below.stamp, b"below\0" + path))
        return self._table.find(path)

    def _lstat_below(self, path: bytes) -> SourceEntry | None:
        # Nothing is below a missing directory: a new directory of many files costs one look-up.
        if self._below is None or (path != b"/" and not self._is_directory_below(path.rpartition(b"/")[0] or b"/")):
            return None
        return self._below.lstat(path)

    def _is_directory_below(self, path: bytes) -> bool:
        known = self._directories.get(path)
        if known is None:
            found = self._lstat_below(path)
            known = found is not None and stat.S_ISDIR(found.mode)
            if len(self._directories) >= _REMEMBERED_MAX:
                self._directories.clear()
            self._directories[path] = known
        return known

    def readlink(self, path: bytes) -> bytes:
        """Return the text of a link, planned or below."""
        entry = self._table.find_entry(path)
        if entry is not None:
            return entry.link
        assert self._below is not None  # `lstat` has found a link there
        return self._below.readlink(path)

    def is_directory(self, path: bytes) -> bool:
        """Return whether there will be a directory."""
        found = self.lstat(path)
        return found is not None and stat.S_ISDIR(found.mode)

    # ---- adding

    def make_directories(self, path: bytes, uid: int, gid: int, mode: int = DIRECTORY_MODE) -> None:
        """Make missing directories up to a path. Raises Conflict."""
        missing = []
        while True:
            found = self.lstat(path)
            if found is not None and not stat.S_ISDIR(found.mode):
                raise Conflict(f"{_shown(path)} is not a directory")
            if found is not None or path == b"/":
                break
            missing.append(path)
            path = path.rpartition(b"/")[0] or b"/"
        for directory in reversed(missing):
            entry = Entry(EntryType.DIRECTORY, mode=mode, uid=uid, gid=gid, mtime_ns=self._made_ns)
            self._table.put(directory, Planned(entry))

    def add(self, path: bytes, planned: Planned) -> None:
        """Add an object to a directory that exists already, or is planned. Raises Conflict."""
        found = self.lstat(path)
        is_directory = planned.entry.type is EntryType.DIRECTORY
        if found is not None and stat.S_ISDIR(found.mode) != is_directory:
            raise Conflict(
                f"cannot copy a directory over {_shown(path)}, which is not a directory" if is_directory
                else f"cannot replace the directory {_shown(path)} by a file"
            )  # fmt: skip
        self._table.put(path, planned)

    def replace(self, path: bytes, planned: Planned) -> None:
        """Add an object as `tar -x` does: an existing directory keeps its content under new attributes; any other
        object is replaced."""
        found = self.lstat(path)
        is_directory = planned.entry.type is EntryType.DIRECTORY
        if found is not None and stat.S_ISDIR(found.mode) and not is_directory:
            self._table.delete_below(path)
        self._table.put(path, planned)

    def remove(self, directory: bytes, path: bytes) -> None:
        """Remove the image's object at a path.

        Args:
            directory: its parent, canonical; only the last name of `path` is used.

        Raises Conflict: this layer adds it, or something in it.
        """
        name = path.rstrip(b"/").rpartition(b"/")[2]
        target = join(directory, name)
        if name in (b"", b".", b".."):
            raise Conflict(f"{_shown(path)} cannot be removed")
        if self._table.has_any(target):
            raise Conflict(f"{_shown(path)} is both added and removed")
        if self._lstat_below(target) is not None:
            self._table.put(target, Planned(Entry(EntryType.WHITEOUT, mtime_ns=self._made_ns)))

    # ---- writing

    def iter_entries(self) -> Iterator[tuple[bytes, Planned]]:
        """Yield all entries with their parent directories, in the layer's order; paths without the leading slash.

        The first name of a file has the content, the others are hard links to it.
        """
        last = b""
        for path, planned in self._table:
            name = path[1:]
            if not name:
                continue
            for directory in _new_parents(path, last):
                yield directory[1:], Planned(self._directory_below(directory))
            last = path
            first = None if planned.identity is None else self._table.first_name(planned.identity)
            if first is not None and first != path:
                linked = replace(planned.entry, type=EntryType.HARDLINK, size=0, link=first[1:], xattrs=())
                planned = Planned(linked)
            yield name, planned

    def _directory_below(self, path: bytes) -> Entry:
        found = self._lstat_below(path)
        if found is None or self._below is None:
            return Entry(EntryType.DIRECTORY, mode=DIRECTORY_MODE, mtime_ns=self._made_ns)
        return Entry(
            EntryType.DIRECTORY, mode=stat.S_IMODE(found.mode), uid=found.uid, gid=found.gid,
            mtime_ns=found.mtime_ns, xattrs=self._below.xattrs(path),
        )  # fmt: skip

    def write(self, writer: LayerWriter, epoch_ns: int | None = None) -> None:
        """Write all entries; none is younger than `epoch_ns`. Raises OSError (a source cannot be read), UnsafePath."""
        for path, planned in self.iter_entries():
            entry = planned.entry
            if epoch_ns is not None and entry.mtime_ns > epoch_ns:
                entry = replace(entry, mtime_ns=epoch_ns)
            if planned.content is None:
                writer.add(path, entry)
                continue
            with planned.content.open() as content:
                writer.add(path, entry, content)


def _new_parents(path: bytes, last: bytes) -> Iterator[bytes]:
    """Yield the parent directories of a path, from the top, that are not the last written one or above it."""
    at = path.find(b"/", 1)
    while at > 0:
        if last[:at] != path[:at] or last[at : at + 1] not in (b"", b"/"):
            yield path[:at]
        at = path.find(b"/", at + 1)


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")

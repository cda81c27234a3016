"""A tar archive as a tree to copy from: a build context in an archive.

Rules:
1. Compressed archives are decompressed once, into a file; content is read from there. Nothing else is extracted.
2. The entries are in a table that does not have to fit into memory (`rootlay.vfs.build.context.scratchtable`).
3. Later entries replace earlier ones; missing directories are made with 0755, owned by root; names cannot lead out.
4. A name below a link of the archive is at the link's target, as if the archive had been extracted into an empty
   directory.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from rootlay.store.codec.bytestream import ByteStream
from rootlay.store.codec.codec import decompress
from rootlay.store.codec.content import ContentReader
from rootlay.store.model.entry import TYPE_BITS, Entry, EntryType, Xattrs
from rootlay.store.model.errors import NotAnArchive, TruncatedArchive, UnsafePath, UnsupportedMedia
from rootlay.store.model.value import value
from rootlay.store.tar.reader import TarReader
from rootlay.vfs.build.context.scratchtable import ScratchTables
from rootlay.vfs.build.context.source import SourceEntry, join, resolve

_IMPLICIT = Entry(EntryType.DIRECTORY, mode=0o755)


_SCHEMA = """
CREATE TABLE nodes (id INTEGER PRIMARY KEY, entry BLOB NOT NULL, names INTEGER NOT NULL);
CREATE TABLE children (parent INTEGER, name BLOB, node INTEGER NOT NULL, PRIMARY KEY (parent, name)) WITHOUT ROWID
"""
_ROOT = 1
_REMEMBERED_MAX = 10_000


@value
class _Node:
    """One object of the tree; hard links share one."""

    id: int
    entry: Entry
    names: int

    @property
    def is_directory(self) -> bool:
        return self.entry.type is EntryType.DIRECTORY


def is_archive(chunks: Iterable[bytes]) -> bool:
    """Return whether content is a tar, compressed or not, with at least one entry. Reads no further than that."""
    try:
        return next(iter(TarReader(ByteStream(decompress(chunks, "")), "")), None) is not None
    except (NotAnArchive, TruncatedArchive, UnsupportedMedia):
        return False


class TarTree:
    """The tree. Close it: it keeps the plain archive open.

    Args:
        chunks: the archive, compressed or not.
        scratch: an existing directory for temporary files, which have no names (nothing to remove after a crash).
        what: name of the archive for messages.

    Raises:
        NotAnArchive, TruncatedArchive, UnsupportedMedia: the archive cannot be read.
        UnsafePath: a name that is not possible on a file system.
    """

    def __init__(self, chunks: Iterable[bytes], scratch: Path, what: str) -> None:
        self._what = what
        self._tables = ScratchTables(_SCHEMA, scratch)
        self._file = os.open(scratch, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self._directories: dict[bytes, int] = {}  # IDs by path
        try:
            self._new(_IMPLICIT)
            for name, entry in TarReader(ByteStream(self._kept(decompress(chunks, what))), what):
                self._add(name, entry)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the archive. Idempotent."""
        self._tables.close()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    # ---- a tree to copy from

    def lstat(self, path: bytes) -> SourceEntry | None:
        node = self._find(path)
        if node is None:
            return None
        entry = node.entry
        return SourceEntry(
            TYPE_BITS[entry.type] | entry.mode, entry.uid, entry.gid, entry.size, entry.mtime_ns,
            (entry.major, entry.minor), node.id if node.names > 1 else None,
        )  # fmt: skip

    def readlink(self, path: bytes) -> bytes:
        return self._get(path).entry.link

    def listdir(self, path: bytes) -> list[bytes]:
        query = "SELECT name FROM children WHERE parent = ? ORDER BY name"
        return [row[0] for row in self._tables.rows(query, self._get(path).id)]

    def xattrs(self, path: bytes) -> Xattrs:
        return tuple(sorted(self._get(path).entry.xattrs))

    def open(self, path: bytes) -> BinaryIO:
        return io.BufferedReader(ContentReader(self, self._get(path).entry))

    def read_some(self, tar_offset: int, count: int) -> memoryview:
        """Return bytes of the plain archive, for ContentReader."""
        data = os.pread(self._file, count, tar_offset)
        if not data:
            raise TruncatedArchive(self._what)
        return memoryview(data)

    # ---- building

    def _kept(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Write the passing chunks to the file."""
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                view = view[os.write(self._file, view) :]
            yield chunk

    def _add(self, name: bytes, entry: Entry) -> None:
        parts = [part for part in name.split(b"/") if part not in (b"", b".")]
        if b".." in parts or b"\0" in name:
            raise UnsafePath(name, "it leads out of the archive")
        if not parts:
            if entry.type is EntryType.DIRECTORY:
                self._change(_ROOT, entry)
            return
        parent = self._make_directory(b"/" + b"/".join(parts[:-1]))
        last = parts[-1]
        before = self._child(parent, last)
        if entry.type is EntryType.HARDLINK:
            directory, _, link_name = (b"/" + entry.link.strip(b"/")).rpartition(b"/")
            target = self._find(join(resolve(self, directory), link_name))  # a link there is not followed
            if target is None or target.is_directory:
                raise UnsafePath(name, "a hard link to a file that is not earlier in the archive")
            if before is None or before.id != target.id:
                self._tables.run("UPDATE nodes SET names = names + 1 WHERE id = ?", target.id)
                self._put(parent, last, target.id, before)
            return
        if before is not None and before.is_directory and entry.type is EntryType.DIRECTORY:
            self._change(before.id, entry)
            return
        self._put(parent, last, self._new(entry), before)

    def _new(self, entry: Entry) -> int:
        return self._tables.run("INSERT INTO nodes (entry, names) VALUES (?, 1)", entry.pack())

    def _change(self, node: int, entry: Entry) -> None:
        self._tables.run("UPDATE nodes SET entry = ? WHERE id = ?", entry.pack(), node)

    def _put(self, parent: int, name: bytes, node: int, before: _Node | None) -> None:
        if before is not None and before.is_directory:
            self._directories.clear()  # it and its content are no longer reachable
        self._tables.run("INSERT OR REPLACE INTO children VALUES (?, ?, ?)", parent, name, node)

    def _make_directory(self, path: bytes) -> int:
        """Return the directory of a path, links followed. Make missing ones, replace other objects."""
        node = _ROOT
        for part in resolve(self, path).split(b"/"):
            if not part:
                continue
            child = self._child(node, part)
            if child is not None and child.is_directory:
                node = child.id
                continue
            made = self._new(_IMPLICIT)
            self._put(node, part, made, child)
            node = made
        return node

    def _child(self, parent: int, name: bytes) -> _Node | None:
        row = self._tables.one(
            "SELECT id, entry, names FROM nodes WHERE id = (SELECT node FROM children WHERE parent = ? AND name = ?)",
            parent, name,
        )  # fmt: skip
        return None if row is None else _Node(row[0], Entry.unpack(row[1]), row[2])

    def _find(self, path: bytes) -> _Node | None:
        directory, _, name = path.rstrip(b"/").rpartition(b"/")
        if not name:
            row = self._tables.one("SELECT entry, names FROM nodes WHERE id = ?", _ROOT)
            return None if row is None else _Node(_ROOT, Entry.unpack(row[0]), row[1])
        parent = self._directory(directory)
        return None if parent is None else self._child(parent, name)

    def _directory(self, path: bytes) -> int | None:
        """Return the ID of the directory at a path; None: there is none."""
        known = self._directories.get(path)
        if known is not None or not path:
            return known or _ROOT
        node = _ROOT
        end = 0
        while end < len(path):  # a loop, since a path may have two thousand components
            start = end + 1
            end = path.find(b"/", start)
            end = len(path) if end < 0 else end
            known = self._directories.get(path[:end])
            if known is None:
                child = self._child(node, path[start:end])
                if child is None or not child.is_directory:
                    return None
                known = child.id
                if len(self._directories) >= _REMEMBERED_MAX:
                    self._directories.clear()
                self._directories[path[:end]] = known
            node = known
        return node

    def _get(self, path: bytes) -> _Node:
        node = self._find(path)
        if node is None:
            raise FileNotFoundError(path)
        return node

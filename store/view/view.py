"""The merged view of a stack of layers, for Python (docs/format.md §4).

Rules:
1. A view is immutable and has no whiteouts: every entry in it exists. The cost of a look-up does not depend on the
   number of layers.
2. Ids are those of the native view (§5), so that both name the same entry by the same number.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from struct import Struct
from struct import error as struct_error

from rootlay.store.model.digest import Digest
from rootlay.store.model.entry import (
    FIRST_RESERVED_KEY,
    META_KEY,
    ROOT_ID,
    Entry,
    EntryType,
    SparseMap,
    Xattrs,
    entry_key,
    split_key,
)
from rootlay.store.model.errors import CorruptStore
from rootlay.store.model.value import value
from rootlay.store.view.delta import Records, open_native, open_records
from rootlay.store.view.native import NativeView

VERSIONS = (1, 2)  # the second: a delta

_PREFIX = Struct("<II")  # layer, source length; then the source, then the entry
_PARENT = Struct(">I")
# Prefix and entry of §1 in one step, for the common case of an entry without source, xattrs and sparse map.
_WHOLE = Struct("<IIBBHIIIIIIIQqQII")
# Of the same: layer, source length, type, id, ino, offset.
_PLACE = Struct("<IIB3xII36xQ")
_FILE = EntryType.FILE.value[0]
_TYPES = {t.value[0]: t for t in EntryType}


@value
class Node:
    """One name of the merged tree. Sizes and offsets in bytes, mode without type bits, times in ns since the epoch.

    `id` names the entry; `ino` is the id of the entry that represents all hard links of the file. `layer` counts from
    the base layer, 0. `source` is the absolute path in that layer's tree, empty if it equals the visible path.
    """

    id: int
    type: EntryType
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    nlink: int
    ino: int
    layer: int
    source: bytes = b""
    link: bytes = b""
    xattrs: Xattrs = ()
    major: int = 0
    minor: int = 0
    offset: int = 0
    sparse: SparseMap | None = None

    @classmethod
    def unpack(cls, value: bytes) -> Node:
        """Parse a view record. Raises CorruptStore."""
        try:
            (layer, source_len, code, flags, xattr_count, id_, ino, nlink, mode, uid, gid, link_len, size, mtime_ns,
             offset, major, minor) = _WHOLE.unpack_from(value)  # fmt: skip
            if source_len or flags or xattr_count:
                return _unpack_slowly(value, layer, source_len)
            kind = _TYPES[code]
        except (struct_error, KeyError) as error:
            raise CorruptStore("view", "malformed entry") from error
        if _WHOLE.size + link_len != len(value):
            raise CorruptStore("view", "malformed entry")
        return cls(
            id_, kind, mode, uid, gid, size, mtime_ns, nlink, ino, layer, b"", value[_WHOLE.size :], (), major, minor,
            offset,
        )  # fmt: skip

    def entry(self) -> Entry:
        """Return the values that a layer needs to open the content."""
        return Entry(
            self.type, self.id, self.ino, self.nlink, self.mode, self.uid, self.gid, self.size, self.mtime_ns,
            self.offset, self.major, self.minor, self.link, self.xattrs, self.sparse,
        )  # fmt: skip


def _unpack_slowly(value: bytes, layer: int, source_len: int) -> Node:
    """Parse a record with a source, xattrs or a sparse map."""
    start = _PREFIX.size + source_len
    e = Entry.unpack(value[start:])
    return Node(
        e.id, e.type, e.mode, e.uid, e.gid, e.size, e.mtime_ns, e.nlink, e.ino, layer, value[_PREFIX.size : start],
        e.link, e.xattrs, e.major, e.minor, e.offset, e.sparse,
    )  # fmt: skip


class Walks:
    """The shared methods of all readers of a view that has a root, finds a name and lists a directory."""

    __slots__ = ()
    root: Node

    def find(self, parent_id: int, name: bytes) -> Node | None:
        """Return `name` in the directory `parent_id`, or None."""
        raise NotImplementedError

    def iter_children(self, parent_id: int) -> Iterator[tuple[bytes, Node]]:
        """Yield the children of a directory, sorted by name (bytes)."""
        raise NotImplementedError

    def find_path(self, path: bytes) -> Node | None:
        """Return the object of an absolute, canonical path, or None. Symbolic links are not followed."""
        node = self.root
        for name in path.split(b"/"):
            if not name:
                continue
            found = self.find(node.id, name)
            if found is None:
                return None
            node = found
        return node

    def iter_walk(self) -> Iterator[tuple[bytes, Node]]:
        """Yield everything as (absolute path, node), parents before their children, siblings sorted."""
        waiting = [(b"/", self.root)]
        while waiting:
            path, node = waiting.pop()
            yield path, node
            if node.type is EntryType.DIRECTORY:
                stem = path if path == b"/" else path + b"/"
                children = [(stem + name, child) for name, child in self.iter_children(node.id)]
                waiting += reversed(children)


class View(Walks):
    """An open view. Thread safe, usable after a fork; close it when it has no readers left."""

    __slots__ = ("_file", "_native", "chain_id", "entries", "layers", "path", "root")

    def __init__(self, path: Path, file: Records) -> None:
        """Take over `file`, which `close` closes. Raises CorruptStore."""
        self.path = path
        self._file = file
        self._native: NativeView | None = None
        try:
            meta = json.loads(file.get(META_KEY) or b"{}")
            version = meta["version"]
            self.chain_id = Digest.parse(meta["chain_id"])
            self.layers = tuple(Digest.parse(text) for text in meta["layers"])
            self.entries = int(meta["entries"])
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptStore(str(path), "malformed description") from error
        if version not in VERSIONS:
            raise CorruptStore(str(path), f"unknown version {version}")
        root = self.find(0, b"")
        if root is None:
            raise CorruptStore(str(path), "it has no root")
        self.root = root

    @classmethod
    def open(cls, path: Path) -> View:
        """Open `views/<chain id>.lmdb`. Raises FileNotFoundError, CorruptStore."""
        file = open_records(path)
        try:
            return cls(path, file)
        except BaseException:
            file.close()
            raise

    @property
    def native_path(self) -> Path:
        """The path of the same view for C (§5)."""
        return self.path.with_suffix(".view")

    def open_native(self) -> NativeView:
        """Open the same view for C; the caller closes it. Raises FileNotFoundError, CorruptStore."""
        return open_native(self.native_path)

    def find(self, parent_id: int, name: bytes) -> Node | None:
        """Return `name` in the directory `parent_id`, or None."""
        value = self._file.get(entry_key(parent_id, name))
        return None if value is None else Node.unpack(value)

    def iter_children(self, parent_id: int) -> Iterator[tuple[bytes, Node]]:
        """Yield the children of a directory, sorted by name (bytes)."""
        prefix = _PARENT.pack(parent_id)
        for key, data in self._file.iter_from(prefix):
            if not key.startswith(prefix):
                return
            if len(key) > _PARENT.size:
                yield key[_PARENT.size :], Node.unpack(data)

    def list_types(self, parent_id: int) -> list[tuple[bytes, int]]:
        """Return names and st_mode types of a directory's children, sorted by name (bytes). Faster than
        `iter_children`."""
        if self._native is None:
            self._native = self.open_native()
        return self._native.list_types(parent_id)

    def iter_nodes(self, after: int = 0) -> Iterator[tuple[int, bytes, Node]]:
        """Yield everything behind an id as (parent id, name, node), in the order of the keys: parents before their
        children. This is the order of the ids, except in a delta.

        Raises LookupError for an unknown id.
        """
        start = b"\0"
        if after:
            with closing(self.open_native()) as native:
                start = entry_key(*native.key(after)) + b"\0"  # the key behind it
        for key, data in self._file.iter_from(start):
            if key >= FIRST_RESERVED_KEY:
                return
            parent_id, name = split_key(key)
            yield parent_id, name, Node.unpack(data)

    def iter_places(self) -> Iterator[tuple[int, int, int]]:
        """Yield the places of the content of plain files, as (id, layer, offset in its uncompressed tar), in key order.

        Faster than `iter_nodes`. Without the further names of hard links, and files elsewhere in their layer's tree.
        """
        for key, data in self._file.iter_from(b"\0"):
            if key >= FIRST_RESERVED_KEY:
                return
            layer, source_len, code, id_, ino, offset = _PLACE.unpack_from(data)
            if code == _FILE and id_ == ino and not source_len:
                yield id_, layer, offset

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._file.close()
        if self._native is not None:
            self._native.close()


__all__ = ["ROOT_ID", "Node", "View", "Walks"]

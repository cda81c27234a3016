"""Reader of the native view (docs/format.md §5), by entry id: for the hydrator and for tests.

Programs in a container read this file through the C core; Python code looks names up in `rootlay.store.view.view`. This
reader answers questions about ids: what is entry 4711, and what is its path?
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from struct import Struct

from rootlay.store.disk.regularfile import open_regular_stream
from rootlay.store.model.digest import Digest
from rootlay.store.model.entry import TYPE_BITS
from rootlay.store.model.errors import CorruptStore
from rootlay.store.model.value import value

MAGIC = b"RLVIEW1\n"
VERSION = 1
HEADER_BYTES = 128
ENTRY_BYTES = 96
ROOT_ID = 1

_HEADER = Struct("<8sIIQIIQQQQII32s24s")
_ENTRY = Struct("<IIHBBIIIIIQqIIIIIIIIIIII")
_BUCKET = Struct("<I")
CHILDREN = Struct("<56xII")
_CHILD = Struct("<4xIHB85x")  # name, its length, type
MODE_TYPES = {kind.value[0]: bits for kind, bits in TYPE_BITS.items()}
_PATH_DEPTH_MAX = 32768

_MASK = (1 << 64) - 1
_FNV_START = 0xCBF29CE484222325
_FNV_PRIME = 0x100000001B3
_MIX = 0x9E3779B97F4A7C15
_POSITION_BITS = 33


def key_hash(parent: int, name: bytes) -> int:
    """Return the 64-bit hash of a name in a directory."""
    h = (_FNV_START ^ (parent * _MIX)) & _MASK
    for byte in name:
        h = ((h ^ byte) * _FNV_PRIME) & _MASK
    h ^= h >> 32
    h = (h * _MIX) & _MASK
    return h ^ (h >> 29)


def list_position(name: bytes) -> int:
    """Return the position of a name in the engine's listings of a directory (rl_list_position)."""
    h = _FNV_START
    for byte in name:
        h = ((h ^ byte) * _FNV_PRIME) & _MASK
    h ^= h >> 32
    h = (h * _MIX) & _MASK
    return ((h ^ (h >> 29)) >> (64 - _POSITION_BITS)) + 2


def require_inside(parts: Iterable[tuple[int, int]], header_bytes: int, file_bytes: int, what: str) -> None:
    """Raise CorruptStore, naming `what`, if a table (offset, size; bytes) is not between the header and the end."""
    if any(offset < header_bytes or offset + size > file_bytes for offset, size in parts):
        raise CorruptStore(what, "a table is outside the file")


def require_whole(size: int, file_bytes: int, what: str) -> None:
    """Raise CorruptStore, naming `what`, if a view is not as long (bytes) as its header says."""
    if size != file_bytes:
        raise CorruptStore(what, f"a view of {size} bytes instead of {file_bytes}")


@value
class NativeHeader:
    """The header of the file. Offsets and sizes in bytes; `entries` counts entry 0, too."""

    file_bytes: int
    entries: int
    buckets: int
    off_buckets: int
    off_entries: int
    off_strings: int
    strings_bytes: int
    layers: int
    chain_id: Digest

    @classmethod
    def parse(cls, data: bytes, what: str) -> NativeHeader:
        """Parse and check the first 128 bytes. Raises CorruptStore, naming `what`."""
        if len(data) < HEADER_BYTES:
            raise CorruptStore(what, "shorter than its header")
        (magic, version, header_bytes, file_bytes, entries, buckets, off_buckets, off_entries, off_strings,
         strings_bytes, layers, _, chain, _) = _HEADER.unpack_from(data)  # fmt: skip
        if magic != MAGIC or version != VERSION or header_bytes != HEADER_BYTES:
            raise CorruptStore(what, "not a native view of version 1")
        parts = (
            (off_buckets, 4 * buckets),
            (off_entries, ENTRY_BYTES * entries),
            (off_strings, strings_bytes),
        )
        require_inside(parts, HEADER_BYTES, file_bytes, what)
        if entries < 2 or buckets < 2 * entries or buckets & (buckets - 1):
            raise CorruptStore(what, "impossible table sizes")
        return cls(
            file_bytes, entries, buckets, off_buckets, off_entries, off_strings, strings_bytes, layers,
            Digest("sha256", chain.hex()),
        )  # fmt: skip


@value
class NativeEntry:
    """One entry as the C core sees it. `mode` is a full st_mode; `source` is empty if it equals the visible path."""

    id: int
    parent: int
    name: bytes
    type: bytes
    mode: int
    uid: int
    gid: int
    nlink: int
    size: int
    mtime_ns: int
    layer: int
    ino: int
    children: Sequence[int]
    link: bytes
    source: bytes
    xattrs: bytes
    major: int
    minor: int


class NativeView:
    """One mapped native view. Immutable and thread safe; close it when it has no readers left."""

    __slots__ = ("_map", "_what", "header")

    def __init__(self, mapped: mmap.mmap, header: NativeHeader, what: str) -> None:
        self._map = mapped
        self._what = what
        self.header = header

    @classmethod
    def open(cls, path: Path) -> NativeView:
        """Map the file. Raises FileNotFoundError, CorruptStore."""
        with open_regular_stream(path, follow=True) as stream:
            size = os.fstat(stream.fileno()).st_size
            header = NativeHeader.parse(stream.read(HEADER_BYTES), str(path))
            require_whole(size, header.file_bytes, str(path))
            return cls(mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ), header, str(path))

    @classmethod
    def of(cls, mapped: mmap.mmap, what: str) -> NativeView:
        """Read a view that is mapped already, and may be part of a larger file. Raises CorruptStore, naming `what`."""
        header = NativeHeader.parse(mapped[:HEADER_BYTES], what)
        require_whole(len(mapped), header.file_bytes, what)
        return cls(mapped, header, what)

    @property
    def chain_id(self) -> Digest:
        """The chain ID of the stack of this view."""
        return self.header.chain_id

    @property
    def base_chain_id(self) -> Digest | None:
        """The chain ID of its base, if the view is a delta."""
        return None

    @property
    def entries(self) -> int:
        """The largest id: the number of entries, without entry 0, unless the view is a delta."""
        return self.header.entries - 1

    def iter_ids(self) -> Iterable[int]:
        """Return the ids of all entries, ascending."""
        return range(ROOT_ID, self.header.entries)

    def _place(self, entry_id: int) -> tuple[mmap.mmap, int]:
        """Return the mapped file that holds an entry, and its offset there. Raises LookupError."""
        if not 1 <= entry_id < self.header.entries:
            raise LookupError(f"no entry {entry_id} in this view")
        return self._map, self.header.off_entries + ENTRY_BYTES * entry_id

    def _children(self, entry_id: int, first: int, count: int) -> Sequence[int]:
        """Return the ids of the children, by name. `first` and `count` are those of the entry. Raises CorruptStore."""
        return self._ids(first, count)

    def _ids(self, first: int, count: int) -> range:
        """Return so many ids of the table. Raises CorruptStore if it does not have them."""
        if first + count > self.entries + 1:
            raise CorruptStore(self._what, "a directory has children outside the table")
        return range(first, first + count)

    def entry(self, entry_id: int) -> NativeEntry:
        """Return the entry of an id. Raises LookupError for an unknown id, CorruptStore."""
        (parent, name, name_len, kind, _, _, mode, uid, gid, nlink, size, mtime_ns, layer, ino, first, count, link,
         link_len, source, source_len, xattrs, xattrs_len, major, minor) = _ENTRY.unpack_from(
             *self._place(entry_id))  # fmt: skip
        return NativeEntry(
            entry_id, parent, self._string(name, name_len), bytes((kind,)), mode, uid, gid, nlink, size, mtime_ns,
            layer, ino, self._children(entry_id, first, count), self._string(link, link_len),
            self._string(source, source_len), self._string(xattrs, xattrs_len), major, minor,
        )  # fmt: skip

    def _string(self, offset: int, length: int) -> bytes:
        if offset + length > self.header.strings_bytes:
            raise CorruptStore(self._what, "a string is outside the file")
        start = self.header.off_strings + offset
        return self._map[start : start + length]

    def key(self, entry_id: int) -> tuple[int, bytes]:
        """Return parent id and name of an entry: its key in the LMDB view. Raises as `entry`."""
        parent, name, name_len = _ENTRY_KEY.unpack_from(*self._place(entry_id))
        return parent, self._string(name, name_len)

    def path(self, entry_id: int) -> bytes:
        """Return the absolute path of an entry; the root is `/`. Raises as `entry`."""
        names: list[bytes] = []
        while entry_id != ROOT_ID:
            parent, name = self.key(entry_id)
            if not 1 <= parent <= self.entries:
                raise CorruptStore(self._what, f"entry {entry_id} in a missing directory")
            entry_id = parent
            names.append(name)
            if len(names) > _PATH_DEPTH_MAX:
                raise CorruptStore(self._what, "its directories form a loop")
        return b"/" + b"/".join(reversed(names))

    def children(self, entry_id: int) -> Sequence[int]:
        """Return the ids of a directory's children, in the order of their names (bytes). Raises as `entry`."""
        return self._children(entry_id, *CHILDREN.unpack_from(*self._place(entry_id)))

    def list_types(self, entry_id: int) -> list[tuple[bytes, int]]:
        """Return names and st_mode types of a directory's children, sorted by name (bytes). Raises as `entry`."""
        header, mapped = self.header, self._map
        first, count = CHILDREN.unpack_from(*self._place(entry_id))
        self._ids(first, count)
        start = header.off_entries + ENTRY_BYTES * first
        strings = header.off_strings
        rows = list(_CHILD.iter_unpack(mapped[start : start + ENTRY_BYTES * count]))
        if any(at + length > header.strings_bytes for at, length, _ in rows):
            raise CorruptStore(self._what, "a string is outside the file")
        try:
            found = [(mapped[strings + at : strings + at + length], MODE_TYPES[kind]) for at, length, kind in rows]
        except KeyError as error:
            raise CorruptStore(self._what, "an entry of unknown type") from error
        return found

    def find(self, parent: int, name: bytes) -> int:
        """Return the id of `name` in the directory `parent`, or 0. Raises CorruptStore."""
        header = self.header
        bucket = key_hash(parent, name) & (header.buckets - 1)
        for _ in range(header.buckets):
            (entry_id,) = _BUCKET.unpack_from(self._map, header.off_buckets + 4 * bucket)
            if entry_id >= header.entries:
                break
            if not entry_id or self.key(entry_id) == (parent, name):
                return int(entry_id)
            bucket = (bucket + 1) & (header.buckets - 1)
        raise CorruptStore(self._what, "its hash table is damaged")

    def close(self) -> None:
        """Unmap the file. Idempotent."""
        self._map.close()


_ENTRY_KEY = Struct("<IIH")

"""Readers of a delta: a view as a small change of another one, its base (docs/format.md §5, "Delta").

Rules:
1. A name that the base has keeps its id. The mark of the id says whether the delta hides the name, with everything
   below it, or has its entry. Ids of added names follow those of the base.
2. The base lies next to the delta, as a hard link to the view of the lower layers: it stays when that view is removed.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from struct import Struct
from struct import error as struct_error
from typing import Protocol

from rootlay.store.disk.lmdbfile import LmdbFile
from rootlay.store.disk.regularfile import open_regular_stream
from rootlay.store.model.digest import Digest
from rootlay.store.model.entry import FIRST_RESERVED_KEY, META_KEY
from rootlay.store.model.errors import CorruptStore
from rootlay.store.model.value import value
from rootlay.store.view.native import (
    CHILDREN,
    ENTRY_BYTES,
    MODE_TYPES,
    NativeHeader,
    NativeView,
    key_hash,
    require_inside,
    require_whole,
)

MAGIC = b"RLDELTA1"
VERSION = 1
DELTA_HEADER_BYTES = 192
BASE_SUFFIX = ".base"

_HEADER = Struct("<8sIIQIIQQQQII32sIIQQQ32s24x")
_MARK = Struct("<III")
_BUCKET = Struct("<I")
_PARENT = Struct(">I")
_VALUE_HEAD = Struct("<4xI")  # layer; length of the source, which comes next
_VALUE_ID = Struct("<I")
_ID_AFTER_SOURCE = 8 + 4


def base_of(path: Path) -> Path:
    """Return the place of the base of a delta, in the same form: `path` is a `.view` or an `.lmdb`."""
    return path.with_name(path.name + BASE_SUFFIX)


@value
class DeltaHeader:
    """The header of the file. Offsets and sizes in bytes; `base_entries` counts entry 0, too."""

    file_bytes: int
    base_entries: int
    buckets: int
    off_buckets: int
    off_entries: int
    off_strings: int
    strings_bytes: int
    layers: int
    changed: int
    chain_id: Digest
    added: int
    base_layers: int
    off_marks: int
    base_bytes: int
    base_strings: int
    base_chain_id: Digest

    @classmethod
    def parse(cls, data: bytes, what: str) -> DeltaHeader:
        """Parse and check the first 192 bytes. Raises CorruptStore, naming `what`."""
        if len(data) < DELTA_HEADER_BYTES:
            raise CorruptStore(what, "shorter than its header")
        (magic, version, header_bytes, file_bytes, base_entries, buckets, off_buckets, off_entries, off_strings,
         strings_bytes, layers, changed, chain, added, base_layers, off_marks, base_bytes, base_strings,
         base_chain) = _HEADER.unpack_from(data)  # fmt: skip
        if magic != MAGIC or version != VERSION or header_bytes != DELTA_HEADER_BYTES:
            raise CorruptStore(what, "not a delta of version 1")
        parts = (
            (off_buckets, 4 * buckets),
            (off_entries, ENTRY_BYTES * (changed + added)),
            (off_strings, strings_bytes),
            (off_marks, _MARK.size * (base_entries // 32 + 1)),
        )
        require_inside(parts, DELTA_HEADER_BYTES, file_bytes, what)
        if base_entries < 2 or buckets < 2 * added or not buckets or buckets & (buckets - 1):
            raise CorruptStore(what, "impossible table sizes")
        return cls(
            file_bytes, base_entries, buckets, off_buckets, off_entries, off_strings, strings_bytes, layers, changed,
            Digest("sha256", chain.hex()), added, base_layers, off_marks, base_bytes, base_strings,
            Digest("sha256", base_chain.hex()),
        )  # fmt: skip

    def fits(self, base: NativeHeader) -> bool:
        """Return whether this is the header of the base."""
        return (self.base_entries, self.base_strings, self.base_bytes, self.base_chain_id) == (
            base.entries,
            base.strings_bytes,
            base.file_bytes,
            base.chain_id,
        )


def read_header(path: Path) -> NativeHeader | DeltaHeader:
    """Read the header of a native view of either kind. Raises FileNotFoundError, CorruptStore."""
    with open(path, "rb") as stream:
        data = stream.read(DELTA_HEADER_BYTES)
        size = os.fstat(stream.fileno()).st_size
    header = (DeltaHeader if data.startswith(MAGIC) else NativeHeader).parse(data, str(path))
    require_whole(size, header.file_bytes, str(path))
    return header


def open_native(path: Path) -> NativeView:
    """Open a native view of either kind; the caller closes it. Raises FileNotFoundError, CorruptStore."""
    with open_regular_stream(path, follow=True) as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            return NativeView.open(path)
        stream.seek(0)
        size = os.fstat(stream.fileno()).st_size
        header = DeltaHeader.parse(stream.read(DELTA_HEADER_BYTES), str(path))
        require_whole(size, header.file_bytes, str(path))
        try:
            base = NativeView.open(base_of(path))
        except FileNotFoundError as error:
            raise CorruptStore(str(path), "its base is missing") from error
        try:
            return NativeDelta(mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ), header, base, str(path))
        except BaseException:
            base.close()
            raise


def open_native_at(path: Path, offset: int, length: int) -> NativeView:
    """Open a view that is a part of a file, as a launch file names it: bytes; length 0 for the whole file.

    Raises FileNotFoundError, CorruptStore.
    """
    if not length:
        return open_native(path)
    with open_regular_stream(path, follow=True) as stream:
        mapped = mmap.mmap(stream.fileno(), length, offset=offset, access=mmap.ACCESS_READ)
    try:
        return NativeView.of(mapped, str(path))
    except BaseException:
        mapped.close()
        raise


class NativeDelta(NativeView):
    """A mapped delta and its base. Immutable and thread safe; close it when it has no readers left."""

    __slots__ = ("__dict__", "_base", "delta")

    def __init__(self, mapped: mmap.mmap, delta: DeltaHeader, base: NativeView, what: str) -> None:
        """Take over `mapped` and `base`. Raises CorruptStore for another base than the delta's."""
        super().__init__(mapped, base.header, what)
        self.delta = delta
        self._base = base
        if not delta.fits(base.header):
            raise CorruptStore(what, "its base is another view")

    @property
    def chain_id(self) -> Digest:
        """The chain ID of the stack of this view."""
        return self.delta.chain_id

    @property
    def base_chain_id(self) -> Digest:
        """The chain ID of its base."""
        return self.delta.base_chain_id

    @property
    def entries(self) -> int:
        """The largest id."""
        return self.delta.base_entries - 1 + self.delta.added

    def _mark(self, entry_id: int) -> tuple[int, int, int]:
        """Return the words of changed and hidden entries that have the entry's bit, and the changed ones before."""
        changed, hidden, before = _MARK.unpack_from(self._map, self.delta.off_marks + _MARK.size * (entry_id >> 5))
        return changed, hidden, before

    def is_hidden(self, entry_id: int) -> bool:
        """Return whether the base has this id and the delta hides it."""
        return entry_id < self.delta.base_entries and bool(self._mark(entry_id)[1] >> (entry_id & 31) & 1)

    def is_changed(self, entry_id: int) -> bool:
        """Return whether the delta has the entry of this id: only such directories have added names."""
        return entry_id >= self.delta.base_entries or bool(self._mark(entry_id)[0] >> (entry_id & 31) & 1)

    @cached_property
    def touched(self) -> frozenset[int]:
        """The ids of the base that are changed or hidden."""
        start = self.delta.off_marks
        words = self._map[start : start + _MARK.size * (self.delta.base_entries // 32 + 1)]
        found = []
        for number, (changed, hidden, _) in enumerate(_MARK.iter_unpack(words)):
            left = changed | hidden
            while left:
                found.append(number * 32 + (left & -left).bit_length() - 1)
                left &= left - 1
        return frozenset(found)

    def iter_ids(self) -> Iterable[int]:
        """Return the ids of all entries, ascending."""
        return (entry_id for entry_id in range(1, self.entries + 1) if not self.is_hidden(entry_id))

    def _place(self, entry_id: int) -> tuple[mmap.mmap, int]:
        delta = self.delta
        if not 1 <= entry_id <= self.entries:
            raise LookupError(f"no entry {entry_id} in this view")
        if entry_id >= delta.base_entries:
            index = delta.changed + entry_id - delta.base_entries
        else:
            changed, hidden, before = self._mark(entry_id)
            bit = 1 << (entry_id & 31)
            if hidden & bit:
                raise LookupError(f"no entry {entry_id} in this view")
            if not changed & bit:
                return self._base._place(entry_id)
            index = before + (changed & (bit - 1)).bit_count()
        if index >= delta.changed + delta.added:
            raise CorruptStore(self._what, "an entry is outside the table")
        return self._map, delta.off_entries + ENTRY_BYTES * index

    def _string(self, offset: int, length: int) -> bytes:
        start = offset - self.delta.base_strings
        if start < 0 or not length:
            return self._base._string(offset if length else 0, length)
        if start + length > self.delta.strings_bytes:
            raise CorruptStore(self._what, "a string is outside the file")
        return self._map[self.delta.off_strings + start : self.delta.off_strings + start + length]

    def _children(self, entry_id: int, first: int, count: int) -> Sequence[int]:
        own = self._ids(first, count)
        if not self.is_changed(entry_id):
            return [child for child in own if not self.is_hidden(child)]
        if entry_id >= self.delta.base_entries:
            return own
        lower = [child for child in self._base.entry(entry_id).children if not self.is_hidden(child)]
        return sorted([*lower, *own], key=lambda child: self.key(child)[1]) if own else lower

    def list_types(self, entry_id: int) -> list[tuple[bytes, int]]:
        """Return names and st_mode types of a directory's children, sorted by name (bytes). Raises as `entry`."""
        lower: Sequence[int] = ()
        shown: list[tuple[bytes, int]] = []
        if 1 <= entry_id < self.delta.base_entries:
            self._place(entry_id)  # it is not hidden
            lower = self._base.entry(entry_id).children
            shown = self._base.list_types(entry_id)
        touched = self.touched
        if not touched.isdisjoint(lower):
            shown = [row for child, row in zip(lower, shown, strict=True) if child not in touched]
        elif not self.is_changed(entry_id):
            return shown
        for child in self._children(entry_id, *CHILDREN.unpack_from(*self._place(entry_id))):
            if child in touched or child >= self.delta.base_entries:
                entry = self.entry(child)
                kind = MODE_TYPES.get(entry.type[0])
                if kind is None:
                    raise CorruptStore(self._what, "an entry of unknown type")
                shown.append((entry.name, kind))
        return sorted(shown)

    def find(self, parent: int, name: bytes) -> int:
        """Return the id of `name` in the directory `parent`, or 0. Raises CorruptStore."""
        found = self._base.find(parent, name)
        if found:
            return 0 if self.is_hidden(found) else found
        return self._find_added(parent, name) if self.is_changed(parent) else 0

    def _find_added(self, parent: int, name: bytes) -> int:
        delta = self.delta
        bucket = key_hash(parent, name) & (delta.buckets - 1)
        for _ in range(delta.buckets):
            (entry_id,) = _BUCKET.unpack_from(self._map, delta.off_buckets + 4 * bucket)
            if entry_id > self.entries:
                break
            if not entry_id or self.key(entry_id) == (parent, name):
                return int(entry_id)
            bucket = (bucket + 1) & (delta.buckets - 1)
        raise CorruptStore(self._what, "its hash table is damaged")

    def close(self) -> None:
        """Unmap the files. Idempotent."""
        self._base.close()
        super().close()


class Records(Protocol):
    """The records of an LMDB form: those of a file, or of a delta and its base."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`, or None."""

    def iter_from(self, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield all (key, value) from `start` on, in key order."""

    def close(self) -> None:
        """Close the files. Idempotent."""


class DeltaRecords:
    """The records of a view that is a delta. `native` is its other form."""

    def __init__(self, delta: LmdbFile, base: LmdbFile, native: NativeDelta) -> None:
        """Take over all three."""
        self._delta, self._base, self._native = delta, base, native

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`, or None."""
        if key >= FIRST_RESERVED_KEY:
            return self._delta.get(key)
        native = self._native
        found = self._base.get(key)
        if found is None:
            return self._delta.get(key) if native.is_changed(*_PARENT.unpack_from(key)) else None
        entry_id = _id_of(found)
        if entry_id >= native.delta.base_entries:
            raise CorruptStore("view", "a record of another view")
        changed, hidden, _ = native._mark(entry_id)
        if not (changed | hidden) >> (entry_id & 31) & 1:
            return found
        return None if hidden >> (entry_id & 31) & 1 else self._delta.get(key)

    def iter_from(self, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield all (key, value) from `start` on, in key order: each stands in the delta, or untouched in the base."""
        touched = self._native.touched
        own = self._delta.iter_from(start)
        waiting = next(own, None)
        for item in self._base.iter_from(start):
            if item[0] >= FIRST_RESERVED_KEY:
                break
            if _id_of(item[1]) in touched:
                continue
            while waiting is not None and waiting[0] < item[0]:
                yield waiting
                waiting = next(own, None)
            yield item
        while waiting is not None:
            yield waiting
            waiting = next(own, None)

    def close(self) -> None:
        """Close the files. Idempotent."""
        self._delta.close()
        self._base.close()
        self._native.close()


def _open_base(path: Path, described: bytes) -> LmdbFile:
    """Open the LMDB form of the base of a delta. Raises CorruptStore: it is missing, or another view."""
    place = base_of(path)
    try:
        base = LmdbFile(place)
    except FileNotFoundError as error:
        raise CorruptStore(str(path), "its base is missing") from error
    try:
        if chain_of(base) != json.loads(described)["base"]:
            raise CorruptStore(str(path), "its base is another view")
    except (ValueError, KeyError, TypeError) as error:
        base.close()
        raise CorruptStore(str(path), "malformed description") from error
    except CorruptStore:
        base.close()
        raise
    return base


def chain_of(records: LmdbFile) -> str:
    """Return the chain ID in the description of an LMDB form; empty: it cannot be read."""
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(records.get(META_KEY) or b"{}")["chain_id"])
    return ""


def _id_of(record: bytes) -> int:
    try:
        (source_bytes,) = _VALUE_HEAD.unpack_from(record)
        (entry_id,) = _VALUE_ID.unpack_from(record, _ID_AFTER_SOURCE + source_bytes)
    except struct_error as error:
        raise CorruptStore("view", "malformed record") from error
    return int(entry_id)


def open_records(path: Path) -> Records:
    """Open the LMDB form of a view of either kind. Raises FileNotFoundError, CorruptStore."""
    file = LmdbFile(path)
    base = None
    try:
        described = file.get(META_KEY) or b""
        if b'"base"' not in described:
            return file
        base = _open_base(path, described)
        native = open_native(path.with_suffix(".view"))
        if not isinstance(native, NativeDelta):
            native.close()
            raise CorruptStore(str(path), "its native form is a whole view")
        return DeltaRecords(file, base, native)
    except BaseException:
        for each in (file, base):
            if each is not None:
                each.close()
        raise

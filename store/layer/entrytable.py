"""The entries of a layer while it is gathered: a table by key of which a part is in memory.

Rules:
1. New entries are in a dictionary. When there are too many, all go into leaves: ranges of keys, each compressed to one
   block, in a file without a name. A million entries take 40 MB there instead of 200 in memory. Without a file (none
   can be made, or the disk is full) the blocks stay in memory.
2. Whether a leaf has a key, a Bloom filter says: an archive in any order does not read the leaves for a new name.
3. An entry that is read or changed is unpacked with its leaf. Leaves that have not been used for long are packed again.
4. An archive in a bad order must not become slow: of the entries that are unpacked again to be used, an eighth more may
   stay unpacked; of those that new ones are put next to, a part more may be new. So the time stays proportional.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from struct import Struct
from typing import Any

from rootlay.store.disk.scratchfile import ScratchFile
from rootlay.store.model.entry import NAME_BYTES_MAX, entry_key

NEW_ENTRIES = 80_000
UNPACKED_ENTRIES = 20_000
LEAF_ENTRIES = 1024
_USED_FOR_OPEN, _PASSED_FOR_NEW = 8, 32  # entries, for one more (rule 4)
_ID_BYTES = len(entry_key(0, b""))
_AFTER_NAMES = b"\xff" * (NAME_BYTES_MAX + 1)
_LENGTHS = Struct("<HI")
_LEVEL = 1
_LENGTH_BITS = 32
_FILTER_BITS = 25  # of a number of a bit: 4 MiB, of which a million entries leave nine tenths unset
_FILTER_MASK = (1 << _FILTER_BITS) - 1
_FILTER_SHIFT = 19  # three numbers in a hash of 63 bits

Row = tuple[bytes, bytes]


class _Blocks:
    """Blocks by the first key that their leaf may have."""

    def __init__(self, scratch: Path | None) -> None:
        self._file = ScratchFile(scratch)
        self._held: dict[bytes, bytes] = {}
        self._places: dict[bytes, int] = {}  # start and length in the file: one number takes half of a tuple

    def put(self, start: bytes, block: bytes) -> None:
        """Keep the block of a leaf that has none."""
        place = self._file.append(block)
        if place is None:
            self._held[start] = block
        else:
            self._places[start] = place << _LENGTH_BITS | len(block)

    def get(self, start: bytes) -> bytes:
        """Return the block of a leaf."""
        place = self._places.get(start)
        if place is None:
            return self._held[start]
        return self._file.read(place >> _LENGTH_BITS, place & (1 << _LENGTH_BITS) - 1)

    def forget(self, start: bytes) -> None:
        """Forget the block of a leaf."""
        if self._places.pop(start, None) is None:
            del self._held[start]


class _Filter:
    """A Bloom filter of keys. Its memory is used as bits are set."""

    def __init__(self) -> None:
        self._bits = bytearray(1 << _FILTER_BITS - 3)

    def add(self, key: bytes) -> None:
        bits, found = self._bits, hash(key)
        for _ in range(3):
            at = found & _FILTER_MASK
            bits[at >> 3] |= 1 << (at & 7)
            found >>= _FILTER_SHIFT

    def may_have(self, key: bytes) -> bool:
        """Return False if the key was never added."""
        bits, found = self._bits, hash(key)
        for _ in range(3):
            at = found & _FILTER_MASK
            if not bits[at >> 3] & 1 << (at & 7):
                return False
            found >>= _FILTER_SHIFT
        return True


class EntryTable:
    """Packed entries by key (docs/format.md §1)."""

    def __init__(
        self,
        new_entries: int = NEW_ENTRIES,
        scratch: Path | None = None,
        leaf_entries: int = LEAF_ENTRIES,
        unpacked_entries: int = UNPACKED_ENTRIES,
    ) -> None:
        """An empty table.

        Args:
            new_entries: how many may be new, at first (rule 4).
            scratch: a directory for the file of rule 1; None: it stays in memory.
            leaf_entries: the most in one leaf, at least 1.
            unpacked_entries: how many of leaves stay unpacked, at first (rule 4).
        """
        self._new: dict[bytes, bytes] = {}  # in no leaf
        self._new_max = new_entries
        self._passed_entries = 0  # that new ones were put next to
        self._starts: list[bytes] = []  # of all leaves, sorted; each leaf ends where the next one starts
        self._open: OrderedDict[bytes, dict[bytes, bytes]] = OrderedDict()  # unpacked leaves by their starts
        self._open_entries = 0
        self._open_max = unpacked_entries
        self._used_entries = 0  # that were unpacked again
        self._packed = _Blocks(scratch)
        self._packed_entries = 0
        self._leaf_entries = leaf_entries

    def __len__(self) -> int:
        return len(self._new) + self._open_entries + self._packed_entries

    def get(self, key: bytes) -> bytes | None:
        """Return the packed entry, None if there is none."""
        found = self._new.get(key)
        if found is None and self._starts:
            leaf = self._leaf_with(key)
            if leaf is not None:
                return leaf[key]
        return found

    def __getitem__(self, key: bytes) -> bytes:
        found = self.get(key)
        if found is None:
            raise KeyError(key)
        return found

    def __setitem__(self, key: bytes, packed: bytes) -> None:
        if self._starts and key not in self._new:
            leaf = self._leaf_with(key)
            if leaf is not None:
                leaf[key] = packed
                return
        self._new[key] = packed
        if len(self._new) > self._new_max + self._passed_entries // _PASSED_FOR_NEW:
            self._settle()

    def drop(self, directories: Iterable[bytes]) -> None:
        """Drop all entries of these directories: the first bytes of their keys."""
        dropped = set(directories)
        self._new = {key: packed for key, packed in self._new.items() if key[:_ID_BYTES] not in dropped}
        touched: set[bytes] = set()
        for identity in dropped if self._starts else ():
            first = bisect_right(self._starts, identity) - 1
            touched.update(self._starts[first : bisect_right(self._starts, identity + _AFTER_NAMES)])
        for start in touched:
            self._pack(start, [row for row in self._take(start) if row[0][:_ID_BYTES] not in dropped])

    def iter_sorted(self) -> Iterator[Row]:
        """Yield all keys and packed entries in the order of keys. The table must not change meanwhile."""
        if not self._starts:
            yield from sorted(self._new.items())
            return
        self._settle()
        for start in self._starts:
            leaf = self._open.get(start)
            yield from self._unpack(start) if leaf is None else sorted(leaf.items())

    def _leaf_with(self, key: bytes) -> dict[bytes, bytes] | None:
        """Return the leaf that has the key, unpacked. None if none has it."""
        if not self._filter.may_have(key):
            return None
        start = self._starts[bisect_right(self._starts, key) - 1]
        leaf = self._open.get(start)
        if leaf is None:
            leaf = dict(self._unpack(start))
            if key not in leaf:
                return None
            self._packed.forget(start)
            self._packed_entries -= len(leaf)
            self._open[start] = leaf
            self._open_entries += len(leaf)
            self._used_entries += len(leaf)
            limit = self._open_max + self._used_entries // _USED_FOR_OPEN
            while self._open_entries > limit and len(self._open) > 1:
                oldest = next(iter(self._open))
                self._pack(oldest, self._take(oldest))
        elif key not in leaf:
            return None
        self._open.move_to_end(start)
        return leaf

    def _settle(self) -> None:
        """Put all new entries into leaves."""
        rows, at = sorted(self._new.items()), 0
        self._new = {}
        for key, _ in rows:
            self._filter.add(key)
        while at < len(rows):
            number = bisect_right(self._starts, rows[at][0])  # of the next leaf
            end = bisect_left(rows, (self._starts[number], b""), at) if number < len(self._starts) else len(rows)
            start = self._starts[number - 1] if number else b""
            there = self._take(start) if number else []
            self._passed_entries += len(there)
            together = sorted(there + rows[at:end])
            pieces = -(-len(together) // self._leaf_entries)
            each = -(-len(together) // pieces)
            starts = [start, *(together[first][0] for first in range(each, len(together), each))]
            for count, one in enumerate(starts):
                self._pack(one, together[count * each : (count + 1) * each])
            self._starts[max(number - 1, 0) : number] = starts
            at = end

    def _take(self, start: bytes) -> list[Row]:
        """Return the sorted entries of a leaf, which has none then, until `_pack`."""
        leaf = self._open.pop(start, None)
        if leaf is not None:
            self._open_entries -= len(leaf)
            return sorted(leaf.items())
        rows = list(self._unpack(start))
        self._packed.forget(start)
        self._packed_entries -= len(rows)
        return rows

    def _pack(self, start: bytes, rows: list[Row]) -> None:
        """Keep the sorted entries of a leaf that has none."""
        parts: list[bytes] = []
        for key, packed in rows:
            parts += _LENGTHS.pack(len(key), len(packed)), key, packed
        self._packed.put(start, self._compressor.compress(b"".join(parts)))
        self._packed_entries += len(rows)

    def _unpack(self, start: bytes) -> Iterator[Row]:
        """Yield the entries of a packed leaf."""
        data = self._decompressor.decompress(self._packed.get(start))
        at = 0
        while at < len(data):
            key_bytes, packed_bytes = _LENGTHS.unpack_from(data, at)
            at += _LENGTHS.size
            key = data[at : at + key_bytes]
            at += key_bytes
            yield key, data[at : at + packed_bytes]
            at += packed_bytes

    @cached_property
    def _filter(self) -> _Filter:
        return _Filter()

    @cached_property
    def _compressor(self) -> Any:
        import zstandard

        return zstandard.ZstdCompressor(level=_LEVEL)

    @cached_property
    def _decompressor(self) -> Any:
        import zstandard

        return zstandard.ZstdDecompressor()

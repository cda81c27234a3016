"""The entries of a layer while it is gathered: a table by key that packs what has not been used for long.

Rules:
1. An archive lists a directory's entries together: directories that have not been used for long are compressed, each
   to one block, in a file without a name. A million entries take 40 MB there instead of 200 in memory. Without a file
   (none can be made, or the disk is full) the blocks stay in memory.
2. An archive in another order must not become slow: for each entry that is unpacked again one more may stay unpacked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from struct import Struct
from typing import Any

from rootlay.store.disk.scratchfile import ScratchFile
from rootlay.store.model.entry import entry_key

UNPACKED_ENTRIES = 100_000
_ID_BYTES = len(entry_key(0, b""))
_LENGTHS = Struct("<HI")
_LEVEL = 1


_LENGTH_BITS = 32


class _Blocks:
    """Blocks by directory."""

    def __init__(self, scratch: Path | None) -> None:
        self._file = ScratchFile(scratch)
        self._held: dict[bytes, bytes] = {}
        self._places: dict[bytes, int] = {}  # start and length in the file: one number takes half of a tuple

    def __iter__(self) -> Iterator[bytes]:
        yield from self._held
        yield from self._places

    def put(self, identity: bytes, block: bytes) -> None:
        """Keep the block of a directory that has none."""
        place = self._file.append(block)
        if place is None:
            self._held[identity] = block
        else:
            self._places[identity] = place << _LENGTH_BITS | len(block)

    def get(self, identity: bytes) -> bytes | None:
        """Return the block of a directory, None if it has none."""
        place = self._places.get(identity)
        if place is None:
            return self._held.get(identity)
        return self._file.read(place >> _LENGTH_BITS, place & (1 << _LENGTH_BITS) - 1)

    def pop(self, identity: bytes) -> bytes | None:
        """Return the block of a directory, and forget it."""
        block = self.get(identity)
        if self._places.pop(identity, None) is None:
            self._held.pop(identity, None)
        return block


class EntryTable:
    """Packed entries by key (docs/format.md §1)."""

    def __init__(self, unpacked_entries: int = UNPACKED_ENTRIES, scratch: Path | None = None) -> None:
        """An empty table. `scratch`: a directory for the file of rule 1; None: it stays in memory."""
        self._open: OrderedDict[bytes, dict[bytes, bytes]] = OrderedDict()
        self._packed = _Blocks(scratch)
        self._open_entries = 0
        self._entries = 0
        self._limit = unpacked_entries

    def __len__(self) -> int:
        return self._entries

    def get(self, key: bytes) -> bytes | None:
        """Return the packed entry, None if there is none."""
        directory = self._directory(key[:_ID_BYTES], make=False)
        return None if directory is None else directory.get(key)

    def __getitem__(self, key: bytes) -> bytes:
        found = self.get(key)
        if found is None:
            raise KeyError(key)
        return found

    def __setitem__(self, key: bytes, packed: bytes) -> None:
        directory = self._directory(key[:_ID_BYTES], make=True)
        assert directory is not None
        if key not in directory:
            self._entries += 1
            self._open_entries += 1
        directory[key] = packed
        while self._open_entries > self._limit and len(self._open) > 1:
            self._pack_oldest()

    def drop(self, directories: Iterable[bytes]) -> None:
        """Drop all entries of these directories: the first bytes of their keys."""
        for identity in directories:
            directory = self._directory(identity, make=False)
            if directory is not None:
                self._entries -= len(directory)
                self._open_entries -= len(directory)
                del self._open[identity]

    def iter_sorted(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield all keys and packed entries in the order of keys. The table must not change meanwhile."""
        for identity in sorted([*self._open, *self._packed]):
            block = self._packed.get(identity)
            yield from sorted(self._open[identity].items()) if block is None else self._unpack(block)

    def _directory(self, identity: bytes, *, make: bool) -> dict[bytes, bytes] | None:
        directory = self._open.get(identity)
        if directory is not None:
            self._open.move_to_end(identity)
            return directory
        block = self._packed.pop(identity)
        if block is None and not make:
            return None
        directory = self._open[identity] = {} if block is None else dict(self._unpack(block))
        self._open_entries += len(directory)
        self._limit += len(directory)
        return directory

    def _pack_oldest(self) -> None:
        identity, directory = self._open.popitem(last=False)
        self._open_entries -= len(directory)
        parts: list[bytes] = []
        for key, packed in sorted(directory.items()):
            parts += _LENGTHS.pack(len(key), len(packed)), key, packed
        self._packed.put(identity, self._compressor.compress(b"".join(parts)))

    def _unpack(self, block: bytes) -> Iterator[tuple[bytes, bytes]]:
        data = self._decompressor.decompress(block)
        at = 0
        while at < len(data):
            key_bytes, packed_bytes = _LENGTHS.unpack_from(data, at)
            at += _LENGTHS.size
            key = data[at : at + key_bytes]
            at += key_bytes
            yield key, data[at : at + packed_bytes]
            at += packed_bytes

    @cached_property
    def _compressor(self) -> Any:
        import zstandard

        return zstandard.ZstdCompressor(level=_LEVEL)

    @cached_property
    def _decompressor(self) -> Any:
        import zstandard

        return zstandard.ZstdDecompressor()

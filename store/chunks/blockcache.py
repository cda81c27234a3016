"""The fetched part of a blob, in any order: a sparse file of its size, and a file of one byte a block (format.md §11).

Rules:
1. A block's byte is set after the block was written, by any process: two processes that fetch the same block write the
   same bytes. Nothing is synced and nothing here is trusted: each reader verifies.
2. Once the file has become the blob itself, by a hard link, no process writes to it any more.
"""

from __future__ import annotations

import os
from pathlib import Path

from rootlay.store.disk.durable import create_file
from rootlay.store.layout.layerfiles import LAZY_NAME

BLOCK_BYTES = 64 << 10
DATA_NAME = LAZY_NAME
HAVE_NAME = "lazy.have"
_HERE = b"\1"


class BlockCache:
    """The cache of one blob in a layer's directory. Thread safe; close it."""

    def __init__(self, directory: Path) -> None:
        """Open the cache. Raises FileNotFoundError."""
        self.path = directory / DATA_NAME
        self._data = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            self._have = os.open(directory / HAVE_NAME, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except BaseException:
            os.close(self._data)
            raise
        self.size = os.fstat(self._data).st_size

    @staticmethod
    def create(directory: Path, size: int) -> None:
        """Make an empty cache for a blob of `size` bytes."""
        for name, length in ((DATA_NAME, size), (HAVE_NAME, -(-size // BLOCK_BYTES))):
            fd = create_file(directory / name)
            try:
                os.ftruncate(fd, length)
            finally:
                os.close(fd)

    def missing(self, start: int, end: int, longest: int) -> list[tuple[int, int]]:
        """Return the ranges to fetch for `start` to `end`: whole blocks, none longer than `longest` bytes."""
        first, last = start // BLOCK_BYTES, -(-min(end, self.size) // BLOCK_BYTES)
        have = os.pread(self._have, max(0, last - first), first)
        found: list[tuple[int, int]] = []
        for number, here in enumerate(have, first):
            if here:
                continue
            at, until = number * BLOCK_BYTES, min((number + 1) * BLOCK_BYTES, self.size)
            if found and found[-1][1] == at and until - found[-1][0] <= longest:
                found[-1] = found[-1][0], until
            else:
                found.append((at, until))
        return found

    @property
    def is_complete(self) -> bool:
        """Whether every block is there."""
        count = -(-self.size // BLOCK_BYTES)
        return os.pread(self._have, count, 0) == _HERE * count

    @property
    def _is_shared(self) -> bool:
        return os.fstat(self._data).st_nlink > 1

    def write(self, start: int, data: bytes) -> None:
        """Write fetched blocks, from the start of a block. Raises OSError."""
        if self._is_shared:
            return
        at = 0
        while at < len(data):
            at += os.pwrite(self._data, data[at:], start + at)
        os.pwrite(self._have, _HERE * -(-len(data) // BLOCK_BYTES), start // BLOCK_BYTES)

    def forget(self, start: int, end: int) -> bool:
        """Drop damaged blocks; return False if it is too late for that (rule 2)."""
        if self._is_shared:
            return False
        first, last = start // BLOCK_BYTES, -(-end // BLOCK_BYTES)
        os.pwrite(self._have, bytes(last - first), first)
        return True

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`, from any source; fewer at the end of the file."""
        data = os.pread(self._data, end - start, start)
        while len(data) < end - start and (more := os.pread(self._data, end - start - len(data), start + len(data))):
            data += more
        return data

    def close(self) -> None:
        """Close the cache. Idempotent."""
        for fd in (self._data, self._have):
            if fd >= 0:
                os.close(fd)
        self._data = self._have = -1

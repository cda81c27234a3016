"""Decompressed segments of a layer: the latest in memory, those that were needed twice in a file without a name.

Rules:
1. At most `CACHE_BYTES` are in memory, including the overhead of small segments. A reader in the order of the tar needs
   no more, and never writes.
2. A segment that is decompressed a second time was dropped too early: it is written to the file as well, so no segment
   is decompressed three times. The file has no name (O_TMPFILE), disappears with its process, is sparse, and holds
   `SPILL_BYTES` at most. If the directory is not writable, its file system has no such files, or the disk is full,
   segments are decompressed again.
3. All cached bytes were verified, and no other process can reach either place. The file is read through a mapping: a
   program that closes foreign descriptors cannot make us read another file, and a check before each write keeps us from
   writing one. Pages of the mapping that were read are returned from time to time: they are in the kernel's cache, and
   count as ours while they are mapped.
4. Thread safe. A forked child shares the file: each place in it holds the same bytes, whichever process writes them.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections import OrderedDict
from pathlib import Path

CACHE_BYTES = 16 << 20
SPILL_BYTES = 1 << 30
_FAULT_BYTES = 64 << 10  # the kernel maps this much around a touched page
_MAPPED_BYTES = 4 << 20
_ENTRY_BYTES = 200  # overhead of a segment: a lazily pulled layer has one for each file


class SegmentCache:
    """Segments by number. Close it."""

    def __init__(self, directory: Path | None, tar_bytes: int) -> None:
        """Make the file in `directory`, when it is needed; None: use memory alone. `tar_bytes`: of all segments."""
        self._spill = None if directory is None else _Spill(directory, tar_bytes)
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._seen = bytearray()  # by number: already decompressed once

    def close(self) -> None:
        """Close both places. Idempotent."""
        if self._spill is not None:
            self._spill.close()

    def find(self, number: int, start: int, tar_offset: int, count: int) -> tuple[bytes, int] | None:
        """Return bytes that hold the segment from `tar_offset` on, `count` of them if it has as many, and their start
        in it. `start` is the start of the segment in the tar. None: it has to be decompressed."""
        with self._lock:
            data = self._kept.get(number)
            if data is not None:
                self._kept.move_to_end(number)
                return data, tar_offset - start
            found = None if self._spill is None else self._spill.find(number, tar_offset - start, count)
        return None if found is None else (found, 0)

    def add(self, number: int, start: int, data: bytes) -> None:
        """Keep a segment that was just decompressed and verified."""
        with self._lock:
            if number not in self._kept:
                self._kept[number] = data
                self._kept_bytes += len(data) + _ENTRY_BYTES
                while self._kept_bytes > CACHE_BYTES and len(self._kept) > 1:
                    _, dropped = self._kept.popitem(last=False)
                    self._kept_bytes -= len(dropped) + _ENTRY_BYTES
            if number >= len(self._seen):
                self._seen.extend(bytes(number + 1 - len(self._seen)))
            if self._seen[number] and self._spill is not None:
                self._spill.add(number, start, data)
            self._seen[number] = 1


class _Spill:
    """The file of rule 2. Best effort: after an error it accepts no more, and its content stays valid."""

    def __init__(self, directory: Path, tar_bytes: int) -> None:
        self._directory = directory
        self._tar_bytes = tar_bytes
        self._room = SPILL_BYTES
        self._places: dict[int, tuple[int, int]] = {}  # start and end in the file, equal to those in the tar
        self._map: mmap.mmap | None = None
        self._mapped = 0
        self._fd = -1
        self._identity = (0, 0)

    def find(self, number: int, offset: int, count: int) -> bytes | None:
        """Return `count` bytes of a segment from `offset` in it on, or as many as it has; None: it is not here."""
        place = self._places.get(number)
        if place is None or self._map is None:
            return None
        start, end = place
        found = self._map[start + offset : min(end, start + offset + count)]
        self._mapped += max(len(found), _FAULT_BYTES)
        if self._mapped > _MAPPED_BYTES:
            self._map.madvise(mmap.MADV_DONTNEED)
            self._mapped = 0
        return found

    def add(self, number: int, start: int, data: bytes) -> None:
        if number in self._places or len(data) > self._room:
            return
        try:
            if self._map is None:
                self._open()
            status = os.fstat(self._fd)
            if (status.st_dev, status.st_ino) != self._identity or os.pwrite(self._fd, data, start) != len(data):
                self._room = 0
                return
        except (OSError, ValueError):
            self._room = 0
            return
        self._room -= len(data)
        self._places[number] = (start, start + len(data))

    def _open(self) -> None:
        self._fd = os.open(self._directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        status = os.fstat(self._fd)
        self._identity = (status.st_dev, status.st_ino)
        os.ftruncate(self._fd, self._tar_bytes)
        self._map = mmap.mmap(self._fd, self._tar_bytes, prot=mmap.PROT_READ)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        if self._map is not None:
            self._map.close()
        self._map, self._room = None, 0

"""Content digests of files by the identity of a file's state, in a file searched in place (docs/format.md §12).

Rules:
1. Records are sorted by key and have one size: a search reads one block. The file is replaced as a whole.
2. This is derived data: an unreadable file counts as empty.
3. Records are sorted in parts, by the first bits of their keys, which are hashes: a part at a time is in memory. (A
   table of SQLite would read and write a page for each record of an unsorted million.)
"""

from __future__ import annotations

import contextlib
import os
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from rootlay.store.disk.durable import create_file, replacing
from rootlay.store.disk.scratchfile import ScratchFile

MAGIC = b"RLdigst\x01"
KEY_BYTES = 16
DIGEST_BYTES = 32
TIME_BYTES = 4
RECORD_BYTES = KEY_BYTES + TIME_BYTES + DIGEST_BYTES
RECORDS_MAX = 400_000
_BLOCK = 64  # records
_READ_BYTES = RECORD_BYTES << 14
_PARTS = 64
_PART_SHIFT = 2  # of the first byte of a key
_WAITING_MAX = 16_384  # records that are in memory before they go into their parts


def record(key: bytes, time_s: int, digest: bytes) -> bytes:
    """Return a record: the key, the time of the digest (unsigned, big-endian), the digest."""
    return key + (time_s & 0xFFFFFFFF).to_bytes(TIME_BYTES, "big") + digest


class DigestFile:
    """An open file. Close it."""

    def __init__(self, path: Path) -> None:
        """Open a file. Raises FileNotFoundError, OSError, ValueError (not such a file)."""
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            count, left = divmod(os.fstat(self._fd).st_size - len(MAGIC), RECORD_BYTES)
            if left or os.pread(self._fd, len(MAGIC), 0) != MAGIC:
                raise ValueError("not a file of digests, or truncated")
            self._firsts = array("Q", (self._prefix(number) for number in range(0, count, _BLOCK)))
        except BaseException:
            self.close()
            raise

    def _prefix(self, number: int) -> int:
        return int.from_bytes(os.pread(self._fd, 8, len(MAGIC) + number * RECORD_BYTES), "big")

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def find(self, key: bytes) -> bytes | None:
        """Return the digest of a key."""
        block = bisect_right(self._firsts, int.from_bytes(key[:8], "big")) - 1
        if block < 0:
            return None
        data = os.pread(self._fd, _BLOCK * RECORD_BYTES, len(MAGIC) + block * _BLOCK * RECORD_BYTES)
        at = data.find(key)
        while at > 0 and at % RECORD_BYTES:
            at = data.find(key, at + 1)
        return None if at < 0 else data[at + KEY_BYTES + TIME_BYTES : at + RECORD_BYTES]

    def __iter__(self) -> Iterator[bytes]:
        """Yield all records."""
        at = len(MAGIC)
        while data := os.pread(self._fd, _READ_BYTES, at):
            at += len(data)
            yield from iter_records(data)


def iter_records(data: bytes) -> Iterator[bytes]:
    """Yield the records in a sequence of whole ones."""
    for start in range(0, len(data), RECORD_BYTES):
        yield data[start : start + RECORD_BYTES]


def find_file(path: Path) -> DigestFile | None:
    """Open a file if there is a valid one (rule 2)."""
    with contextlib.suppress(OSError, ValueError):
        return DigestFile(path)
    return None


class _Parts:
    """Records in any order, to be read sorted (rule 3)."""

    def __init__(self, records: Iterable[bytes], directory: Path) -> None:
        """Take all records. `directory`: for a file without a name; without one they stay in memory."""
        self._file = ScratchFile(directory)
        self._pieces: list[list[tuple[int, int] | bytes]] = [[] for _ in range(_PARTS)]
        self.count = 0
        rest = iter(records)
        while some := list(islice(rest, _WAITING_MAX)):
            self.count += len(some)
            parts: list[list[bytes]] = [[] for _ in range(_PARTS)]
            for found in some:
                parts[found[0] >> _PART_SHIFT].append(found)
            for pieces, part in zip(self._pieces, parts, strict=True):
                data = b"".join(part)
                place = self._file.append(data) if len(some) == _WAITING_MAX else None
                pieces.append(data if place is None else (place, len(data)))

    def __iter__(self) -> Iterator[bytes]:
        """Yield them sorted; of records with the same key the latest."""
        for pieces in self._pieces:
            last = b""
            for found in sorted(self._records(pieces)):
                if last and last[:KEY_BYTES] != found[:KEY_BYTES]:
                    yield last
                last = found
            if last:
                yield last

    def _records(self, pieces: list[tuple[int, int] | bytes]) -> Iterator[bytes]:
        for piece in pieces:
            yield from iter_records(piece if isinstance(piece, bytes) else self._file.read(*piece))


def write_file(path: Path, records: Iterable[bytes]) -> None:
    """Replace the file. Of records with the same key the latest is kept; if there are too many, the latest are kept."""
    parts = _Parts(records, path.parent)
    oldest = bytes(TIME_BYTES)
    if parts.count > RECORDS_MAX:
        oldest = _oldest(Counter(map(_time, parts)))
    with replacing(path) as staged, open(create_file(staged), "wb") as stream:
        stream.write(MAGIC)
        stream.writelines(islice((found for found in parts if _time(found) >= oldest), RECORDS_MAX))


def _oldest(times: Counter[bytes]) -> bytes:
    """Return the time of the oldest record that is kept; `times` counts the records of each time."""
    left = RECORDS_MAX
    for time in sorted(times, reverse=True):
        left -= times[time]
        if left <= 0:
            return time
    return bytes(TIME_BYTES)


def _time(found: bytes) -> bytes:
    return found[KEY_BYTES : KEY_BYTES + TIME_BYTES]

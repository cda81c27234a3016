"""Content digests of files by the identity of a file's state, in a file searched in place (docs/format.md §12).

Rules:
1. Records are sorted by key and have one size: a search reads one block. The file is replaced as a whole.
2. This is derived data: an unreadable file counts as empty.
"""

from __future__ import annotations

import contextlib
import os
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path

from rootlay.store.disk.durable import replace_file

MAGIC = b"RLdigst\x01"
KEY_BYTES = 16
DIGEST_BYTES = 32
TIME_BYTES = 4
RECORD_BYTES = KEY_BYTES + TIME_BYTES + DIGEST_BYTES
RECORDS_MAX = 400_000
_BLOCK = 64  # records
_READ_BYTES = RECORD_BYTES << 14


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


def write_file(path: Path, records: Iterable[bytes]) -> None:
    """Replace the file. Of records with the same key the latest is kept; if there are too many, the latest are kept."""
    kept: list[bytes] = []
    for found in sorted(records):
        if kept and kept[-1][:KEY_BYTES] == found[:KEY_BYTES]:
            kept.pop()
        kept.append(found)
    if len(kept) > RECORDS_MAX:
        oldest = sorted(map(_time, kept))[-RECORDS_MAX]
        kept = [found for found in kept if _time(found) >= oldest][:RECORDS_MAX]
    replace_file(path, MAGIC + b"".join(kept))


def _time(found: bytes) -> bytes:
    return found[KEY_BYTES : KEY_BYTES + TIME_BYTES]

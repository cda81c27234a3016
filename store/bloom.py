"""The Bloom filter of an upper, docs/format.md §7: which of its paths may exist.

A clear bit proves absence without a system call; bits are set before a thing appears and never cleared.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from rootlay.store.boot import ID_BYTES, boot_id

MAGIC = b"RLBLOOM1"
VERSION = 5
"""1 had no counts of changes, 2 none of holders of the lock, 3 no near bits, 4 no bits of moved paths; all are read."""
LOG2_BITS = 23
HEADER_BYTES = 64
FILE_BYTES = HEADER_BYTES + (1 << LOG2_BITS) // 8
BOOT_OFFSET = 32
_HEADER = struct.Struct("<8sII16x16s16x")


def create_bloom(path: Path, upper: Path | None) -> None:
    """Make an empty filter, or, for an upper that may hold something already, one with every bit set.

    Setting all bits costs no scan of a tree of unknown size: each look-up then asks the kernel, as on a plain
    directory. Not durable: a filter is made anew from nothing but its upper.
    """
    _create(path, upper is not None and upper.is_dir() and any(upper.iterdir()))


def create_full_bloom(path: Path) -> None:
    """Make a filter with every bit set: right for any upper. See `create_bloom`."""
    _create(path, True)


def header_fits(header: bytes) -> bool:
    """Whether a filter's first bytes are those of a version that is read."""
    magic, version, log2 = struct.unpack_from("<8sII", header.ljust(HEADER_BYTES, b"\0"))
    return bool(magic == MAGIC and 1 <= version <= VERSION and log2 == LOG2_BITS)


def boot_of(path: Path) -> bytes:
    """The start of a machine since which it is known that a filter has all bits; empty where it is not a filter."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        header = os.read(fd, HEADER_BYTES)
        whole = header_fits(header) and os.fstat(fd).st_size == FILE_BYTES
    finally:
        os.close(fd)
    return header[BOOT_OFFSET : BOOT_OFFSET + ID_BYTES] if whole else b""


def _create(path: Path, full: bool) -> None:
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, _HEADER.pack(MAGIC, VERSION, LOG2_BITS, boot_id()))
        if full:
            os.pwrite(fd, b"\xff" * (FILE_BYTES - HEADER_BYTES), HEADER_BYTES)
        else:
            os.ftruncate(fd, FILE_BYTES)
    finally:
        os.close(fd)

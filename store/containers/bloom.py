"""The Bloom filter of an upper, docs/format.md §7: the set of its paths that may exist.

A clear bit proves absence without a system call; bits are set before a file appears and never cleared.

Programs set bits through a shared mapping. That would fill a hole in the file, and on a full disk it would cause
SIGBUS. So all blocks are allocated before a filter is used. A filter with holes (made by an earlier version, or copied
without them) gets its blocks when it is opened.
"""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

from rootlay.store.disk.bootid import ID_BYTES, boot_id
from rootlay.store.disk.smallfile import write_all

MAGIC = b"RLBLOOM1"
VERSION = 5
"""1 had no counts of changes, 2 no holders of the lock, 3 no near bits, 4 no bits of moved paths; all are readable."""
LOG2_BITS = 23
HEADER_BYTES = 64
FILE_BYTES = HEADER_BYTES + (1 << LOG2_BITS) // 8
BOOT_OFFSET = 32
_HEADER = struct.Struct("<8sII16x16s16x")
_STAT_BLOCK_BYTES = 512
_UNSUPPORTED = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.EBADF)


def create_bloom(path: Path, upper: Path | None) -> None:
    """Make an empty filter, or, for an upper that may already contain files, one with every bit set.

    Setting all bits avoids a scan of a tree of unknown size: each look-up then queries the kernel, as in a plain
    directory. Not durable: a filter can be made again from its upper alone.
    """
    _create(path, upper is not None and upper.is_dir() and any(upper.iterdir()))


def create_full_bloom(path: Path) -> None:
    """Make a filter with every bit set: it is valid for any upper. See `create_bloom`."""
    _create(path, True)


def header_fits(header: bytes) -> bool:
    """Return whether a filter's first bytes are those of a readable version."""
    magic, version, log2 = struct.unpack_from("<8sII", header.ljust(HEADER_BYTES, b"\0"))
    return bool(magic == MAGIC and 1 <= version <= VERSION and log2 == LOG2_BITS)


def boot_of(path: Path) -> tuple[bytes, bool]:
    """Return the boot since which a filter is known to have all bits, empty if it is not a filter; and whether it seems
    to have all blocks."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b"", False
    try:
        header, status = os.read(fd, HEADER_BYTES), os.fstat(fd)
    finally:
        os.close(fd)
    whole = header_fits(header) and status.st_size == FILE_BYTES
    return header[BOOT_OFFSET : BOOT_OFFSET + ID_BYTES] if whole else b"", has_blocks(status)


def has_blocks(status: os.stat_result) -> bool:
    """Return whether a filter's file has no holes. False also on a compressing file system: a better test is slow."""
    return status.st_blocks * _STAT_BLOCK_BYTES >= FILE_BYTES


def fill_holes(fd: int) -> bool:
    """Allocate all blocks of a filter's file. Programs may set bits meanwhile.

    Args:
        fd: open with O_APPEND: if the file system has no fallocate, the C library would otherwise write zeros over bits
            that other processes set at the same time.

    Returns:
        False if the file system cannot do that.

    Raises:
        OSError: ENOSPC, EDQUOT, EFBIG.
    """
    try:
        os.posix_fallocate(fd, 0, FILE_BYTES)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return False
    return True


def _create(path: Path, full: bool) -> None:
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        write_all(fd, _HEADER.pack(MAGIC, VERSION, LOG2_BITS, boot_id()))
        if full or not fill_holes(fd):
            write_all(fd, (b"\xff" if full else b"\0") * (FILE_BYTES - HEADER_BYTES))
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(fd)

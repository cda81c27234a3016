"""The files next to an upper: its Bloom filter, docs/format.md §7, the set of its paths that may exist; and its removal
map, §7a.

A clear bit proves absence without a system call; bits are set before a file appears and never cleared.

Programs set bits through a shared mapping. That would fill a hole in the file, and on a full disk it would cause
SIGBUS. So all blocks are allocated before a filter is used. A filter with holes (made by an earlier version, or copied
without them) gets its blocks when it is opened.

A removal map says which entries of the view were removed, without a whiteout so far. It is made together with its
upper, and never later: all processes of a container must agree on whether it exists.
"""

from __future__ import annotations

import errno
import os
import struct
from contextlib import suppress
from pathlib import Path

from rootlay.store.disk.bootid import ID_BYTES, boot_id
from rootlay.store.disk.smallfile import write_all
from rootlay.store.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rootlay.store.model.digest import Digest

MAGIC = b"RLBLOOM1"
VERSION = 5
"""1 had no counts of changes, 2 no holders of the lock, 3 no near bits, 4 no bits of moved paths; all are readable."""
LOG2_BITS = 23
HEADER_BYTES = 64
FILE_BYTES = HEADER_BYTES + (1 << LOG2_BITS) // 8
BOOT_OFFSET = 32
REMOVALS_OFFSET = 48
_PIECE_BYTES = 1 << 20
"""Two counts, u32: removals noted in the removal map, and how many of them are written through (docs/format.md §7a)."""
_HEADER = struct.Struct("<8sII16x16sI12x")
_STAT_BLOCK_BYTES = 512
_WHOLE = bytes(16)
_UNSUPPORTED = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.EBADF)

REMOVED_MAGIC = b"RLGONE01"
REMOVED_VERSION = 1
REMOVED_HEADER_BYTES = 64
_REMOVED_HEADER = struct.Struct("<8sII32s16s")
_VIEW = struct.Struct("<8s16xI44x32s24x")  # of docs/format.md §5: magic, entries, chain ID
_VIEW_MAGIC = b"RLVIEW1\n"
_DELTA = struct.Struct("<104xI28x16s")  # the same of a delta: added entries, chain ID of its base (its first bytes)
_DELTA_MAGIC = b"RLDELTA1"
_BUNDLED_VIEW = struct.Struct("<Q")
_BUNDLED_VIEW_OFFSET = 144
"""In the header of a bundle (docs/format.md §10): the offset of its view."""


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
    return allocate(fd, FILE_BYTES)


def allocate(fd: int, size: int) -> bool:
    """Allocate all blocks of the first `size` bytes of a file. See `fill_holes`."""
    try:
        os.posix_fallocate(fd, 0, size)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return False
    return True


def _create(path: Path, full: bool) -> None:
    # A filter in place of a lost one does not know whether removals wait to be written through: look.
    header = _HEADER.pack(MAGIC, VERSION, LOG2_BITS, boot_id(), int(full))
    _create_bits(path, header, FILE_BYTES, b"\xff" if full else b"\0")


def _create_bits(path: Path, header: bytes, size: int, fill: bytes = b"\0") -> None:
    """Make a file of `size` bytes, with blocks for all; nothing is left if the disk is full."""
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        write_all(fd, header)
        if fill != b"\0" or not allocate(fd, size):
            write_all(fd, fill * (size - len(header)))
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(fd)


def removed_name(upper: str) -> str:
    """Return the name of an upper's map, which is next to it: `removed-3f` for `upper-3f`."""
    return "removed" + upper.removeprefix("upper")


def removed_beside(bloom: Path) -> Path:
    """Return the path of the map of the upper that has this filter. The engine forms it in the same way."""
    return bloom.with_name("removed" + bloom.name.removeprefix("bloom"))


@value
class RemovedHeader:
    """The view that a map is of: the number of its entries, entry 0 included, and its chain ID (raw).

    `base`: of a delta, the first 16 bytes of the chain ID of its base; zeros: the view is whole.
    """

    entries: int
    chain: bytes
    base: bytes = _WHOLE

    @classmethod
    def of(cls, entries: int, chain: Digest, base: Digest | None) -> RemovedHeader:
        """Return the header of a map of this view."""
        return cls(entries, bytes.fromhex(chain.hex), bytes.fromhex(base.hex)[:16] if base else _WHOLE)

    @property
    def map_bytes(self) -> int:
        """The length of each of the two maps, bytes."""
        return (self.entries + 63) // 64 * 8

    @property
    def file_bytes(self) -> int:
        return REMOVED_HEADER_BYTES + 2 * self.map_bytes

    def pack(self) -> bytes:
        return _REMOVED_HEADER.pack(REMOVED_MAGIC, REMOVED_VERSION, self.entries, self.chain, self.base)

    @classmethod
    def parse(cls, data: bytes) -> RemovedHeader | None:
        """Parse the first 64 bytes of a map; None if they are not those of a readable version."""
        if len(data) < REMOVED_HEADER_BYTES:
            return None
        magic, version, entries, chain, base = _REMOVED_HEADER.unpack_from(data)
        return (
            cls(entries, chain, base) if magic == REMOVED_MAGIC and version == REMOVED_VERSION and entries > 1 else None
        )


def create_removed(path: Path, root: Path, chain: str) -> None:
    """Make an empty map for a new upper over the view of a chain ID (empty: none, and no map).

    Without a readable view there is no map: removals make whiteouts. Not durable.

    Args:
        root: the store.

    Raises:
        OSError: a full disk; nothing is left.
    """
    header = _view_header(root, chain) if chain else None
    if header is not None:
        _create_bits(path, header.pack(), header.file_bytes)


def has_removals(path: Path) -> bool:
    """Return whether programs have ever noted a removal in a map; False if there is no map.

    A program can make the file of any size, with holes: only what is there is read, a piece at a time.
    """
    with suppress(FileNotFoundError), open(path, "rb", buffering=0) as file:
        header = RemovedHeader.parse(file.read(REMOVED_HEADER_BYTES))
        place, end = REMOVED_HEADER_BYTES, header.file_bytes if header else 0
        while (place := _next_data(file.fileno(), place)) < end:
            piece = os.pread(file.fileno(), min(_PIECE_BYTES, end - place), place)
            if piece.strip(b"\0"):
                return True
            if not piece:
                break
            place += len(piece)
    return False


def _next_data(fd: int, place: int) -> int:
    """Return the first place of a file, from `place` on, that is no hole; without one, a place behind all files."""
    try:
        return os.lseek(fd, place, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            return place  # a file system that does not know holes
        return 1 << 63


def forget_written(path: Path) -> None:
    """Let all removals of a map wait to be written through, if there is a map. No program is running.

    Raises:
        OSError: it cannot be written.
    """
    with suppress(FileNotFoundError):
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            header = RemovedHeader.parse(os.pread(fd, REMOVED_HEADER_BYTES, 0))
            if header is not None and os.fstat(fd).st_size >= header.file_bytes:
                os.pwrite(fd, bytes(header.map_bytes), REMOVED_HEADER_BYTES + header.map_bytes)
        finally:
            os.close(fd)


def _view_header(root: Path, chain: str) -> RemovedHeader | None:
    place, offset = root / "views" / f"{chain.partition(':')[2]}.view", 0
    with suppress(OSError, struct.error):
        if not place.exists():
            place = place.with_suffix(".bundle")
            (offset,) = _BUNDLED_VIEW.unpack(_read_at(place, _BUNDLED_VIEW_OFFSET, _BUNDLED_VIEW.size))
        head = _read_at(place, offset, _DELTA.size)
        magic, entries, raw = _VIEW.unpack_from(head)
        if magic == _DELTA_MAGIC and not offset:
            added, base = _DELTA.unpack(head)
            return RemovedHeader(entries + added, raw, base)
        if magic == _VIEW_MAGIC and entries > 1:
            return RemovedHeader(entries, raw)
    return None


def _read_at(path: Path, offset: int, size: int) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(fd, size, offset)
    finally:
        os.close(fd)

"""The Bloom filter of an upper (docs/format.md §7).

1. Bits are set before the thing appears and are never cleared: a clear bit proves absence.
2. Setting is atomic against every other process. Python has no atomic OR, but the kernel has one that works on
   any shared word: FUTEX_WAKE_OP (futex(2)) with FUTEX_OP_OR. A read-modify-write from Python could lose a bit that the
   engine sets at the same time, and a lost bit hides a file.
3. Python's own look-ups do not read the filter: hashing a path takes longer than the system call that it saves.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rootlay.store.containers.bloom import (
    BOOT_OFFSET,
    FILE_BYTES,
    HEADER_BYTES,
    REMOVALS_OFFSET,
    VERSION,
    create_bloom,
    fill_holes,
    has_blocks,
    header_fits,
)
from rootlay.store.model.closing import Closing

RECORD = b"\x00"
OPAQUE = b"\x01"
SHARED = b"\x02"
"""For the root's path: some file has a shared record."""
MOVED = b"\x03"
"""A redirect names this path of the layers below; for the root's path: there is some redirect."""

FNV_START = 0xCBF29CE484222325
FNV_PRIME = 0x100000001B3
MIX = 0x9E3779B97F4A7C15
MASK64 = (1 << 64) - 1

COUNTING_VERSION = 2
NEAR_VERSION = 4
MOVES_VERSION = 5
_VERSION_OFFSET = 8
NEAR_LOG2_BITS = 17
"""Since this version a path's first bit is among the first 2^17: one page or two answer most look-ups."""

_BEGUN, _ENDED, _TAKEN, _GIVEN = 4, 5, 6, 7  # 32-bit words of the file

_SYS_FUTEX = {"x86_64": 202, "aarch64": 98}
_FUTEX_WAKE_OP = 5
_FUTEX_OP_OR = 2
_FUTEX_OP_OPARG_SHIFT = 8


def fnv1a(data: bytes, start: int = FNV_START) -> int:
    """Return the FNV-1a hash, 64 bits. `start` can be the value for a prefix."""
    value = start
    for byte in data:
        value = ((value ^ byte) * FNV_PRIME) & MASK64
    return value


def finish(value: int) -> int:
    """Return the final mixing of docs/format.md §5."""
    value ^= value >> 32
    value = (value * MIX) & MASK64
    return value ^ (value >> 29)


class Bloom(Closing):
    """A filter file, mapped shared. Close it, or use it in a `with` block."""

    def __init__(self, path: Path, *, changes: bool = True) -> None:
        """Map an existing filter.

        Args:
            changes: allow writing; on a read-only disk the first write fails.

        Raises:
            OSError: the filter cannot be opened, or has holes and the disk is full.
            ValueError: the file is not a filter, or of a later version.
        """
        self.path = path
        fd, self._writable = _open(path, changes)
        try:
            if not header_fits(os.read(fd, HEADER_BYTES)) or os.fstat(fd).st_size != FILE_BYTES:
                raise ValueError(f"not a Bloom filter of version 1 to {VERSION}: {path}")
            filled = not self._writable or has_blocks(os.fstat(fd)) or fill_holes(fd)
            access = mmap.ACCESS_WRITE if self._writable else mmap.ACCESS_READ
            self._map = mmap.mmap(fd, FILE_BYTES, access=access)
        finally:
            os.close(fd)
        if not filled:
            _touch_pages(self._map)
        _, version, log2 = struct.unpack_from("<8sII", self._map)
        self._mask = (1 << log2) - 1
        self._near = (1 << (NEAR_LOG2_BITS if version >= NEAR_VERSION else log2)) - 1
        self._counting = bool(version >= COUNTING_VERSION)
        self._version = version
        self._setter: _AtomicOr | None = None

    @classmethod
    def create(cls, path: Path) -> Bloom:
        """Make an empty filter and map it: see rootlay.store.containers.bloom. Raises FileExistsError."""
        create_bloom(path, None)
        return cls(path)

    def close(self) -> None:
        """Unmap the filter. Idempotent."""
        if not self._map.closed:
            self._setter = None  # it points into the map
            self._map.close()

    def bits(self, path: bytes, kind: bytes = b"") -> tuple[int, int]:
        """Return the two bit numbers of a path (`b""` is the root, else `/a/b`) and a kind (none, RECORD, …)."""
        value = finish(fnv1a(kind, fnv1a(path)))
        return value & self._near, (value >> 32) & self._mask

    @property
    def map(self) -> mmap.mmap:
        """Return the whole file, mapped."""
        return self._map

    @property
    def counting(self) -> bool:
        """Whether the counts of changes are kept (docs/format.md §7)."""
        return self._counting

    def position(self, value: int) -> tuple[int, int, int, int]:
        """Return the place of the bits of an unfinished hash in the file: byte and mask of each."""
        value = finish(value)
        one, two = value & self._near, (value >> 32) & self._mask
        return HEADER_BYTES + (one >> 3), 1 << (one & 7), HEADER_BYTES + (two >> 3), 1 << (two & 7)

    def __contains__(self, path: bytes) -> bool:
        return self.may_have(path)

    def may_have(self, path: bytes, kind: bytes = b"") -> bool:
        """Return False only if the upper has no such object."""
        if kind == MOVED and self._version < MOVES_VERSION:
            return True
        return all(self._map[HEADER_BYTES + (bit >> 3)] >> (bit & 7) & 1 for bit in self.bits(path, kind))

    def add(self, path: bytes, kind: bytes = b"") -> None:
        """Set the bits of a path, before it appears. Atomic, idempotent."""
        for bit in self.bits(path, kind):
            if not self._map[HEADER_BYTES + (bit >> 3)] >> (bit & 7) & 1:
                self._set(bit)

    def looked_at(self, boot: bytes) -> None:
        """Note that the filter was checked since this boot: it has all bits (rootlay.store.disk.bootid).

        With the bits of moved paths, the filter is of the version that has them. Raises OSError: EROFS.
        """
        self._require_writable()
        if self._version == NEAR_VERSION:
            self._version = MOVES_VERSION
            struct.pack_into("<I", self._map, _VERSION_OFFSET, MOVES_VERSION)
        self._map[BOOT_OFFSET : BOOT_OFFSET + len(boot)] = boot

    def removals_wait(self) -> bytes:
        """Return the count of the removals noted so far if some wait to be written through, else nothing (§7a)."""
        noted, written = REMOVALS_OFFSET, REMOVALS_OFFSET + 4
        now = self._map[noted:written]
        return b"" if now == self._map[written : written + 4] else now

    def forget_removals_written(self) -> None:
        """Let all removals wait: it is not known which are written through. Raises OSError: EROFS."""
        self._require_writable()
        noted = struct.unpack_from("<I", self._map, REMOVALS_OFFSET)[0]
        struct.pack_into("<I", self._map, REMOVALS_OFFSET + 4, (noted - 1) & 0xFFFFFFFF)

    def removals_written(self, noted: bytes) -> None:
        """Note that all removals up to this count are written through. Precondition: the upper's lock is held."""
        self._map[REMOVALS_OFFSET + 4 : REMOVALS_OFFSET + 8] = noted

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Enclose a change by the holder of the upper's lock.

        Programs inside discard their caches of the upper and cache nothing meanwhile. Programs that change something
        without the lock detect the concurrent change.

        Precondition: the upper's lock is held. So there is one writer, and storing an aligned word is enough.
        """
        self._require_writable()
        if not self._counting:
            yield
            return
        with memoryview(self._map) as whole, whole[:HEADER_BYTES].cast("I") as words:
            words[_TAKEN] = taken = (words[_TAKEN] + 1) & 0xFFFFFFFF
            words[_BEGUN] = begun = (words[_BEGUN] + 1) & 0xFFFFFFFF
        try:
            yield
        finally:
            with memoryview(self._map) as whole, whole[:HEADER_BYTES].cast("I") as words:
                words[_ENDED] = begun
                words[_GIVEN] = taken

    def _require_writable(self) -> None:
        if not self._writable:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self.path))

    def _set(self, bit: int) -> None:
        self._require_writable()
        if self._setter is None:
            self._setter = _AtomicOr(self._map)
        if not self._setter.set(HEADER_BYTES + (bit >> 5) * 4, bit & 31):
            # No futex here (a strict seccomp filter). The upper's lock keeps Python writers apart.
            self._map[HEADER_BYTES + (bit >> 3)] |= 1 << (bit & 7)


def _open(path: Path, changes: bool) -> tuple[int, bool]:
    """Return a descriptor of a filter's file, and whether it is for writing."""
    if changes:
        try:
            return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC), True
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES):
                raise
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC), False


def _touch_pages(target: mmap.mmap) -> None:
    """Make the kernel allocate each page's block of a map and keep the content. Raises OSError: the disk is full."""
    setter = _AtomicOr(target)
    for page in range(0, len(target), mmap.PAGESIZE):
        setter.touch(page)


@functools.cache
def _libc() -> Any:
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


class _AtomicOr:
    """A setter of bits in a shared map through FUTEX_WAKE_OP: no thread waits, only its side effect is used."""

    def __init__(self, target: mmap.mmap) -> None:
        # Not at the top: the import of ctypes takes longer than a container's start, and a start sets no bit.
        import ctypes

        self._ctypes = ctypes
        self._keep = ctypes.c_char.from_buffer(target)
        self._address = ctypes.addressof(self._keep)
        self._number = ctypes.c_long(_SYS_FUTEX.get(os.uname().machine, -1))
        self._syscall = _libc().syscall

    def set(self, offset: int, bit: int) -> bool:
        """Set a bit (0 to 31) of the 32-bit word at a byte offset. Return False if there is no futex."""
        return self._change(offset, (_FUTEX_OP_OR | _FUTEX_OP_OPARG_SHIFT) << 28 | bit << 12)

    def touch(self, offset: int) -> bool:
        """Write a word unchanged. The kernel does it, so that a page without a block is EFAULT and not SIGBUS."""
        try:
            return self._change(offset, _FUTEX_OP_OR << 28)
        except OSError as error:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if error.errno == errno.EFAULT else error from None

    def _change(self, offset: int, operation: int) -> bool:
        ctypes = self._ctypes
        word, none = ctypes.c_void_p(self._address + offset), ctypes.c_long(0)
        change = ctypes.c_uint32(operation)
        if self._syscall(self._number, word, ctypes.c_int(_FUTEX_WAKE_OP), none, none, word, change) >= 0:
            return True
        code = ctypes.get_errno()
        if code not in (errno.ENOSYS, errno.EPERM):
            raise OSError(code, os.strerror(code))
        return False

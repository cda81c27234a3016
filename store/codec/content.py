"""Random access to the uncompressed tar behind a layer, segment by segment, each verified.

Rules:
1. A segment is read whole, and its CRC-32 and length are checked before any byte of it is returned.
2. Recently read segments are cached (`rootlay.store.codec.segmentcache`). Thread safe.
"""

from __future__ import annotations

import io
import os
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import zstandard

from rootlay.store.codec.gzipstream import GZIP_WINDOW_BITS
from rootlay.store.codec.segment import Checkpoint, CheckpointTable, FindWindow
from rootlay.store.codec.segmentcache import SegmentCache
from rootlay.store.codec.zstdframes import decompress_frames
from rootlay.store.disk.regularfile import open_regular
from rootlay.store.model.access import Access
from rootlay.store.model.entry import EntryType, SparseMap
from rootlay.store.model.errors import CorruptStore

_READ_BYTES = 1 << 17
_GZIP_TRAILER_BYTES = 8
# More than the bytes by which any frame exceeds its content.
_BEHIND_BYTES = 1 << 20


class SegmentReader:
    """The uncompressed tar of one layer. Close it."""

    def __init__(
        self,
        path: Path,
        access: Access,
        checkpoints: Iterable[Checkpoint],
        scratch: Path | None = None,
        find_window: FindWindow | None = None,
    ) -> None:
        """Read from the blob or pack at `path`; `scratch` is a directory for the cache file.

        Args:
            find_window: finds the windows of the checkpoints, which are kept in memory without it.

        Raises CorruptStore if it is missing.
        """
        self._path = path
        self._access = access
        self._checkpoints = CheckpointTable(checkpoints, find_window)
        count = len(self._checkpoints)
        self._cache = SegmentCache(scratch, self._checkpoints.end(count - 1) if count else 0)
        try:
            self._fd = open_regular(path, follow=True)
        except FileNotFoundError as error:
            raise CorruptStore(str(path), "missing") from error

    def close(self) -> None:
        """Close the blob. Idempotent; all readers of content must be closed before."""
        self._cache.close()
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def read_some(self, tar_offset: int, count: int) -> memoryview:
        """Return at least one and at most `count` bytes of the tar from `tar_offset` on. Raises CorruptStore."""
        index = self._checkpoints.find(tar_offset)
        if index < 0:
            raise CorruptStore(str(self._path), f"no segment holds byte {tar_offset}")
        ready = self._cache.find(index, self._checkpoints.start(index), tar_offset, count)
        if ready is None:
            ready = self._decompressed(index), tar_offset - self._checkpoints.start(index)
        data, start = ready
        if start >= len(data):
            raise CorruptStore(str(self._path), f"no segment holds byte {tar_offset}")
        return memoryview(data)[start : start + count]

    def find_ready(self, tar_offset: int, count: int) -> tuple[bytes, int] | None:
        """Return bytes that hold the given range, and its start in them, if it is in one decompressed segment."""
        index = self._checkpoints.find(tar_offset)
        if index < 0 or tar_offset + count > self._checkpoints.end(index):
            return None
        return self._cache.find(index, self._checkpoints.start(index), tar_offset, count)

    def _decompressed(self, index: int) -> bytes:
        """Return the verified bytes of a segment."""
        checkpoint = self._checkpoints[index]
        try:
            data = self._decode(index, checkpoint)
        except (zlib.error, zstandard.ZstdError, EOFError) as error:
            raise CorruptStore(str(self._path), f"unreadable at byte {checkpoint.blob_offset}: {error}") from error
        if not self._is_intact(checkpoint, data):
            raise CorruptStore(str(self._path), f"damaged at byte {checkpoint.blob_offset}")
        self._cache.add(index, checkpoint.tar_offset, data)
        return data

    def _is_intact(self, checkpoint: Checkpoint, data: bytes) -> bool:
        return len(data) == checkpoint.length and zlib.crc32(data) == checkpoint.crc32

    def _decode(self, index: int, checkpoint: Checkpoint) -> bytes:
        if self._access is Access.TAR:
            return self._pread(checkpoint.blob_offset, checkpoint.length)
        if self._access is Access.GZIP:
            return self._inflate(checkpoint)
        last = index + 1 == len(self._checkpoints)
        end = os.fstat(self._fd).st_size if last else self._checkpoints[index + 1].blob_offset
        count, near = end - checkpoint.blob_offset, 2 * checkpoint.length + _BEHIND_BYTES
        if last and count > near:  # a table of contents follows, which is long if there are many files
            with suppress(zstandard.ZstdError):
                found = decompress_frames(self._pread(checkpoint.blob_offset, near), checkpoint.length)
                if len(found) == checkpoint.length:
                    return found
        return decompress_frames(self._pread(checkpoint.blob_offset, count), checkpoint.length)

    def _pread(self, offset: int, count: int) -> bytes:
        data = os.pread(self._fd, count, offset)
        while len(data) < count and (more := os.pread(self._fd, count - len(data), offset + len(data))):
            data += more
        return data

    def _inflate(self, checkpoint: Checkpoint) -> bytes:
        """Inflate raw data from a checkpoint, across the ends of gzip members."""
        window = zstandard.ZstdDecompressor().decompress(checkpoint.window) if checkpoint.window else b""
        stream = zlib.decompressobj(-15, zdict=window) if window else zlib.decompressobj(-15)
        trailer_bytes = _GZIP_TRAILER_BYTES  # a raw stream leaves the trailer to us, a gzip stream reads its own
        offset = checkpoint.blob_offset
        left = checkpoint.length
        parts = []
        data = b""
        while left:
            if not data:
                data = os.pread(self._fd, _READ_BYTES, offset)
                offset += len(data)
                if not data:
                    raise EOFError("the blob ends early")
            out = stream.decompress(data, left)
            parts.append(out)
            left -= len(out)
            data = stream.unconsumed_tail
            if stream.eof and left:
                offset += trailer_bytes - len(stream.unused_data)
                data, trailer_bytes = b"", 0
                stream = zlib.decompressobj(GZIP_WINDOW_BITS)
        return b"".join(parts)


class Extent(Protocol):
    """The common part of layer entries and view nodes: the place of a file's content in an uncompressed tar. Bytes."""

    @property
    def type(self) -> EntryType: ...
    @property
    def offset(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def sparse(self) -> SparseMap | None: ...


class TarBytes(Protocol):
    """An uncompressed tar with random access."""

    def read_some(self, tar_offset: int, count: int) -> memoryview:
        """Return at least one and at most `count` bytes of the tar from `tar_offset` on."""


class ContentReader(io.RawIOBase):
    """The content of one file entry: seekable, holes of sparse files read as zeros. Wrap it in a BufferedReader."""

    def __init__(self, segments: TarBytes, entry: Extent) -> None:
        super().__init__()
        self._segments = segments
        self._when_closed: Callable[[], None] | None = None
        self._size = entry.size
        self._position = 0
        # Data runs: start in the file, length, start in the tar.
        self._runs: list[tuple[int, int, int]] = []
        at = entry.offset
        for start, length in ((0, entry.size),) if entry.sparse is None else entry.sparse:
            self._runs.append((start, length, at))
            at += length
        self._run_starts = [run[0] for run in self._runs]

    def when_closed(self, call: Callable[[], None]) -> None:
        """Register a function to call once, when the reader is closed or collected."""
        self._when_closed = call

    def close(self) -> None:
        """Close the reader. Idempotent."""
        super().close()
        call, self._when_closed = self._when_closed, None
        if call is not None:
            call()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position; one beyond the end becomes the end."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # typeshed's Buffer
        """Read up to `len(buffer)` bytes. Raises CorruptStore."""
        count = min(len(buffer), self._size - self._position)
        if count <= 0:
            return 0
        position = self._position
        index = bisect_right(self._run_starts, position) - 1
        if index >= 0:
            start, length, tar_offset = self._runs[index]
            within = position - start
            if within < length:
                data = self._segments.read_some(tar_offset + within, min(count, length - within))
                buffer[: len(data)] = data
                self._position += len(data)
                return len(data)
        if index + 1 < len(self._runs):
            count = min(count, self._runs[index + 1][0] - position)
        buffer[:count] = bytes(count)
        self._position += count
        return count

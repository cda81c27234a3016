"""zstd streams of many frames (RFC 8878): written so that any part can be read on its own, and read as segments.

Written form (docs/format.md §2): frames of `FRAME_BYTES` with content size and content checksum, then a skippable
frame with the seek table of the zstd seekable format (zstd/contrib/seekable_format). Any zstd reads it as one stream.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import Struct

import zstandard

from rootlay.store.codec.segment import SegmentLog
from rootlay.store.model.errors import NotAnArchive, TruncatedArchive

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
FRAME_BYTES = 512 << 10
# The limit of the zstd command line without --long; frames that need more are refused.
WINDOW_BYTES_MAX = 1 << 27

_SKIPPABLE = 0x184D2A50  # and the 15 that follow
_SEEK_TABLE_FRAME = 0x184D2A5E
_SEEK_TABLE_MAGIC = 0x8F92EAB1
_FRAME_HEADER_BYTES_MAX = 18
_BLOCK_RLE = 1
_SKIPPABLE_HEAD = Struct("<II")
_SEEK_ENTRY = Struct("<II")
_SEEK_FOOTER = Struct("<IBI")


def is_zstd(head: bytes) -> bool:
    """Return whether a stream that starts with `head` (4 bytes or more) is zstd; a skippable frame may be first."""
    return head.startswith(ZSTD_MAGIC) or (len(head) >= 4 and _is_skippable(head))


def _is_skippable(head: bytes | bytearray) -> bool:
    return int.from_bytes(head[:4], "little") & 0xFFFFFFF0 == _SKIPPABLE


class FrameWriter:
    """A writer that compresses a tar into many frames. Deterministic for one zstd version and level."""

    def __init__(self, level: int, log: SegmentLog | None = None, frame_bytes: int = FRAME_BYTES) -> None:
        """Record frames, of `frame_bytes` of the tar each, as segments of `log`."""
        self._frame_bytes = frame_bytes
        self.log = log or SegmentLog()
        self._compressor = zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True)
        self._pending = bytearray()
        self._table = bytearray()
        self._frames = 0
        self._blob_offset = 0

    def write(self, data: bytes) -> Iterator[bytes]:
        """Compress `data`; yield the bytes that are ready."""
        pending, size = self._pending, self._frame_bytes
        if len(pending) + len(data) < size:
            pending += data
            return
        view = memoryview(data)
        first = size - len(pending)
        pending += view[:first]
        yield self._frame(bytes(pending))
        at = first
        while at + size <= len(data):
            yield self._frame(bytes(view[at : at + size]))
            at += size
        self._pending = bytearray(view[at:])

    def finish(self) -> Iterator[bytes]:
        """Yield the rest, and the seek table. Nothing may be written afterwards."""
        if self._pending or not self._frames:
            yield self._frame(bytes(self._pending))
        size = len(self._table) + _SEEK_FOOTER.size
        yield _SKIPPABLE_HEAD.pack(_SEEK_TABLE_FRAME, size) + self._table
        yield _SEEK_FOOTER.pack(self._frames, 0, _SEEK_TABLE_MAGIC)

    def _frame(self, data: bytes) -> bytes:
        self.log.begin(self._blob_offset)
        self.log.feed(data)
        frame = self._compressor.compress(data)
        self._table += _SEEK_ENTRY.pack(len(frame), len(data))
        self._frames += 1
        self._blob_offset += len(frame)
        return frame


class ZstdIndexer:
    """An iterable over the uncompressed bytes; `log` has one segment per frame (or run of small frames) afterwards."""

    def __init__(self, chunks: Iterable[bytes], what: str, log: SegmentLog) -> None:
        self._chunks = iter(chunks)
        self._what = what
        self._log = log
        self._data = bytearray()
        self._blob_offset = 0  # of self._data

    def __iter__(self) -> Iterator[bytes]:
        """Yield uncompressed chunks. Raises NotAnArchive, TruncatedArchive."""
        decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX)
        frames = 0
        while self._fill(4):
            if _is_skippable(self._data[:4]):
                self._skip_frame()
                continue
            if not self._data.startswith(ZSTD_MAGIC):
                if not frames:
                    raise NotAnArchive(self._what, "damaged zstd stream")
                for _ in self._chunks:  # trailing garbage; a consumer that hashes the blob needs all of it
                    pass
                return
            frames += 1
            if not self._log.started or self._log.current_bytes >= FRAME_BYTES:
                self._log.begin(self._blob_offset)
            yield from self._frame(decompressor)
        if not frames:
            raise TruncatedArchive(self._what, "the zstd stream ends early")

    def _fill(self, count: int) -> bool:
        """Buffer `count` bytes; return False at the end of the stream."""
        while len(self._data) < count:
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._data += chunk
        return True

    def _consume(self, count: int) -> None:
        del self._data[:count]  # moves only a pointer
        self._blob_offset += count

    def _skip_frame(self) -> None:
        if not self._fill(_SKIPPABLE_HEAD.size):
            raise TruncatedArchive(self._what, "the zstd stream ends early")
        left = _SKIPPABLE_HEAD.unpack_from(self._data)[1] + _SKIPPABLE_HEAD.size
        while left:
            if not self._data and not self._fill(1):
                raise TruncatedArchive(self._what, "the zstd stream ends early")
            step = min(left, len(self._data))
            self._consume(step)
            left -= step

    def _frame(self, decompressor: zstandard.ZstdDecompressor) -> Iterator[bytes]:
        """Decompress one frame, block by block: a block expands to 128 KiB at most, so memory is bounded."""
        self._fill(_FRAME_HEADER_BYTES_MAX)
        try:
            has_checksum = zstandard.get_frame_parameters(bytes(self._data[:_FRAME_HEADER_BYTES_MAX])).has_checksum
            head = zstandard.frame_header_size(bytes(self._data[:_FRAME_HEADER_BYTES_MAX]))
        except zstandard.ZstdError as error:
            raise self._damaged(error) from error
        frame = decompressor.decompressobj()
        yield from self._feed(frame, head)
        last = False
        while not last:
            if not self._fill(3):
                raise TruncatedArchive(self._what, "the zstd stream ends early")
            block = int.from_bytes(self._data[:3], "little")
            last = bool(block & 1)
            yield from self._feed(frame, 3 + (1 if block >> 1 & 3 == _BLOCK_RLE else block >> 3))
        if has_checksum:
            yield from self._feed(frame, 4)
        if not frame.eof:
            raise self._damaged("a frame does not end where it should")

    def _feed(self, frame: zstandard.ZstdDecompressionObj, count: int) -> Iterator[bytes]:
        """Yield the decompressed form of the next `count` bytes."""
        if not self._fill(count):
            raise TruncatedArchive(self._what, "the zstd stream ends early")
        try:
            out = frame.decompress(bytes(self._data[:count]))
        except zstandard.ZstdError as error:
            raise self._damaged(error) from error
        self._consume(count)
        if out:
            self._log.feed(out)
            yield out

    def _damaged(self, reason: object) -> NotAnArchive:
        return NotAnArchive(self._what, f"damaged zstd stream: {reason}")


def decompress_frames(data: bytes, length: int) -> bytes:
    """Return the first `length` decompressed bytes of the frames in `data`: less if there is no more, and never more,
    because a few kilobytes can hold gigabytes. Raises zstandard.ZstdError."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX)
    with decompressor.stream_reader(data, read_across_frames=True) as reader:
        return bytes(reader.read(length))

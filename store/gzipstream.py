"""Decompressing gzip (RFC 1952) in one pass while taking checkpoints for random access later.

A checkpoint is a DEFLATE block boundary that falls on a byte (about one in eight does), with the 32 KiB of output
before it. From there any raw inflate with a preset dictionary goes on; no bit shifting is needed.

Rules:
1. Concatenated members are one stream. What follows the last member and is no member is ignored, as gzip does.
2. The stream's CRC is verified; a stream that ends early is truncated.
"""

from __future__ import annotations

import ctypes
import zlib
from collections.abc import Generator, Iterable, Iterator

import zstandard

from rootlay.store.errors import NotAnArchive, TruncatedArchive
from rootlay.store.libz import BLOCK_BOUNDARY, LAST_BLOCK, UNUSED_BITS, Z_BLOCK, Z_BUF_ERROR, Z_OK, Z_STREAM_END, Libz
from rootlay.store.segment import SEGMENT_BYTES, SegmentLog

GZIP_MAGIC = b"\x1f\x8b"
GZIP_WINDOW_BITS = 15 + 16
_OUT_BYTES = 1 << 18


class _Members:
    """The members of a gzip stream, one after the other; a subclass inflates one of them."""

    def __init__(self, chunks: Iterable[bytes], what: str) -> None:
        self._chunks = iter(chunks)
        self._what = what

    def _reset(self) -> None:
        """Get ready for the next member."""
        raise NotImplementedError

    def _inflate(self, data: bytes, blob_offset: int) -> Generator[bytes, None, int]:
        """Yield what `data`, found at `blob_offset`, decompresses to; returns how much of it the member took: less
        than all only where the member ended. -1: all, and the member goes on."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[bytes]:
        """Uncompressed chunks. Raises NotAnArchive, TruncatedArchive."""
        ended = False
        data = b""
        blob_offset = 0
        for chunk in self._chunks:
            data += chunk
            while data:
                if ended:
                    if len(data) < len(GZIP_MAGIC):
                        break
                    if not data.startswith(GZIP_MAGIC):
                        for _ in self._chunks:  # whoever hashes the blob wants all of it
                            pass
                        return
                    self._reset()
                taken = yield from self._inflate(data, blob_offset)
                ended = taken >= 0
                taken = taken if ended else len(data)
                blob_offset += taken
                data = data[taken:]
        if not ended:
            raise TruncatedArchive(self._what, "the gzip stream ends early")

    def _damaged(self, reason: str) -> NotAnArchive:
        return NotAnArchive(self._what, f"damaged gzip stream: {reason}")


class GzipStream(_Members):
    """Iterate over the uncompressed bytes, without checkpoints."""

    def __init__(self, chunks: Iterable[bytes], what: str) -> None:
        super().__init__(chunks, what)
        self._reset()

    def _reset(self) -> None:
        self._member = zlib.decompressobj(GZIP_WINDOW_BITS)

    def _inflate(self, data: bytes, blob_offset: int) -> Generator[bytes, None, int]:
        pending = data
        while True:
            try:
                out = self._member.decompress(pending, _OUT_BYTES)
            except zlib.error as error:
                raise self._damaged(str(error)) from error
            if out:
                yield out
            if self._member.eof:
                return len(data) - len(self._member.unused_data)
            pending = self._member.unconsumed_tail
            if not pending and len(out) < _OUT_BYTES:
                return -1


class GzipIndexer(_Members):
    """Iterate over the uncompressed bytes; `log` has the checkpoints afterwards."""

    def __init__(self, libz: Libz, chunks: Iterable[bytes], what: str, log: SegmentLog) -> None:
        super().__init__(chunks, what)
        self._libz = libz
        self._log = log
        self._compress = zstandard.ZstdCompressor(level=1).compress
        self._out = ctypes.create_string_buffer(_OUT_BYTES)

    def __iter__(self) -> Iterator[bytes]:
        """Uncompressed chunks. Raises NotAnArchive, TruncatedArchive."""
        self._stream = self._libz.start()
        self._empty_out()
        try:
            yield from super().__iter__()
        finally:
            self._libz.end(self._stream)

    def _reset(self) -> None:
        self._libz.reset(self._stream)

    def _empty_out(self) -> None:
        self._stream.next_out = ctypes.addressof(self._out)
        self._stream.avail_out = _OUT_BYTES

    def _take_out(self) -> bytes:
        chunk = ctypes.string_at(self._out, _OUT_BYTES - self._stream.avail_out)
        self._empty_out()
        self._log.feed(chunk)
        return chunk

    def _inflate(self, data: bytes, blob_offset: int) -> Generator[bytes, None, int]:
        stream, log, inflate = self._stream, self._log, self._libz.inflate
        stream.next_in = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p)
        stream.avail_in = len(data)
        while True:
            code = inflate(stream, Z_BLOCK)
            if code not in (Z_OK, Z_BUF_ERROR, Z_STREAM_END):
                raise self._damaged((stream.msg or b"no reason given").decode("ascii", "replace"))
            if code == Z_STREAM_END:
                yield self._take_out()
                return len(data) - int(stream.avail_in)
            flags = stream.data_type
            if flags & BLOCK_BOUNDARY and not flags & (LAST_BLOCK | UNUSED_BITS):
                pending = _OUT_BYTES - stream.avail_out
                if not log.started or log.current_bytes + pending >= SEGMENT_BYTES:
                    yield self._take_out()
                    window = self._libz.window(stream)
                    log.begin(blob_offset + len(data) - stream.avail_in, self._compress(window) if window else b"")
                    continue
            if not stream.avail_out:
                yield self._take_out()
            elif not stream.avail_in:
                if stream.avail_out < _OUT_BYTES:
                    yield self._take_out()
                return -1

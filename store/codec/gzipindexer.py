"""Decompression of gzip in one pass that records checkpoints for later random access.

A checkpoint is a DEFLATE block boundary that is also a byte boundary (about one in eight is), with the 32 KiB of output
before it. Any raw inflate with a preset dictionary can continue from there, without bit shifting.
"""

from __future__ import annotations

import ctypes
from collections.abc import Generator, Iterable, Iterator

import zstandard

from rootlay.store.codec.gzipstream import OUT_BYTES, Members
from rootlay.store.codec.libz import (
    BLOCK_BOUNDARY,
    LAST_BLOCK,
    UNUSED_BITS,
    Z_BLOCK,
    Z_BUF_ERROR,
    Z_OK,
    Z_STREAM_END,
    Libz,
)
from rootlay.store.codec.segment import SEGMENT_BYTES, SegmentLog


class GzipIndexer(Members):
    """An iterable over the uncompressed bytes; `log` has the checkpoints afterwards."""

    def __init__(self, libz: Libz, chunks: Iterable[bytes], what: str, log: SegmentLog) -> None:
        super().__init__(chunks, what)
        self._libz = libz
        self._log = log
        self._compress = zstandard.ZstdCompressor(level=1).compress
        self._out = ctypes.create_string_buffer(OUT_BYTES)

    def __iter__(self) -> Iterator[bytes]:
        """Yield uncompressed chunks. Raises NotAnArchive, TruncatedArchive."""
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
        self._stream.avail_out = OUT_BYTES

    def _take_out(self) -> bytes:
        chunk = ctypes.string_at(self._out, OUT_BYTES - self._stream.avail_out)
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
                pending = OUT_BYTES - stream.avail_out
                if not log.started or log.current_bytes + pending >= SEGMENT_BYTES:
                    yield self._take_out()
                    window = self._libz.window(stream)
                    log.begin(blob_offset + len(data) - stream.avail_in, self._compress(window) if window else b"")
                    continue
            if not stream.avail_out:
                yield self._take_out()
            elif not stream.avail_in:
                if stream.avail_out < OUT_BYTES:
                    yield self._take_out()
                return -1

"""Decompression of gzip (RFC 1952) in one pass; `rootlay.store.codec.gzipindexer` also records checkpoints.

Rules:
1. Concatenated members are one stream. Data after the last member that is not a member is ignored, as in gzip.
2. The stream's CRC is verified; a stream that ends early is truncated.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterable, Iterator

from rootlay.store.model.errors import NotAnArchive, TruncatedArchive

GZIP_MAGIC = b"\x1f\x8b"
GZIP_WINDOW_BITS = 15 + 16
OUT_BYTES = 1 << 18


class Members:
    """The members of a gzip stream, one after the other; a subclass inflates one of them."""

    def __init__(self, chunks: Iterable[bytes], what: str) -> None:
        self._chunks = iter(chunks)
        self._what = what

    def _reset(self) -> None:
        """Prepare for the next member."""
        raise NotImplementedError

    def _inflate(self, data: bytes, blob_offset: int) -> Generator[bytes, None, int]:
        """Yield the decompressed bytes of `data`, found at `blob_offset`; return how much of it the member took: less
        than all only if the member ended. -1: all, and the member continues."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[bytes]:
        """Yield uncompressed chunks. Raises NotAnArchive, TruncatedArchive."""
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
                        for _ in self._chunks:  # a consumer that hashes the blob needs all of it
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


class GzipStream(Members):
    """An iterable over the uncompressed bytes, without checkpoints."""

    def __init__(self, chunks: Iterable[bytes], what: str) -> None:
        super().__init__(chunks, what)
        self._reset()

    def _reset(self) -> None:
        self._member = zlib.decompressobj(GZIP_WINDOW_BITS)

    def _inflate(self, data: bytes, blob_offset: int) -> Generator[bytes, None, int]:
        pending = data
        while True:
            try:
                out = self._member.decompress(pending, OUT_BYTES)
            except zlib.error as error:
                raise self._damaged(str(error)) from error
            if out:
                yield out
            if self._member.eof:
                return len(data) - len(self._member.unused_data)
            pending = self._member.unconsumed_tail
            if not pending and len(out) < OUT_BYTES:
                return -1

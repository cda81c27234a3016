"""The content of a lazy layer: chunks that are verified by their digests, and fetched if they are missing.

Rules:
1. No byte is returned before its chunk's SHA-256 is verified, whether it is from the cache or from the registry.
2. Whole blocks are fetched, at least `AHEAD_BYTES` if they are missing: files that are used together are stored
   together, and a request has a fixed cost.
3. A wrong chunk is fetched once more; a second wrong chunk is an error.
"""

from __future__ import annotations

import hashlib
import threading
import zlib
from collections.abc import Iterable
from pathlib import Path
from struct import Struct
from struct import error as struct_error

import zstandard

from rootlay.store.chunks.blockcache import BlockCache
from rootlay.store.chunks.fetch import FetchRange, OpenFetch
from rootlay.store.chunks.origin import Origin
from rootlay.store.codec.content import SegmentReader
from rootlay.store.codec.gzipstream import GZIP_MAGIC, GZIP_WINDOW_BITS
from rootlay.store.codec.segment import Checkpoint, FindWindow
from rootlay.store.codec.zstdframes import decompress_frames
from rootlay.store.model.access import Access
from rootlay.store.model.errors import CorruptStore, RootlayError
from rootlay.store.model.value import value

AHEAD_BYTES = 256 << 10
FETCH_BYTES_MAX = 8 << 20


class ContentUnreachable(RootlayError):
    """Missing content of a lazy layer that cannot be fetched now."""

    fault = "network"
    exit_code = 47

    def __init__(self, repository: str, reason: str) -> None:
        hint = f"with a connection, `rootlay pull` fetches the whole image from {repository}"
        super().__init__(f"a file of the image is not in the store yet: {reason}; {hint}")
        self.repository = repository
        self.reason = reason


class LazySegments(SegmentReader):
    """Segments of a lazy layer. Thread safe; close it."""

    def __init__(
        self, directory: Path, checkpoints: Iterable[Checkpoint], find_window: FindWindow, open_fetch: OpenFetch
    ) -> None:
        """Open the segments. `open_fetch` is called when a block is missing for the first time; for `find_window` see
        CheckpointTable."""
        try:
            self._blocks = BlockCache(directory)
        except FileNotFoundError as error:
            raise CorruptStore(str(directory), "the cache of a lazy layer is missing") from error
        super().__init__(self._blocks.path, Access.LAZY, checkpoints, directory, find_window)
        self._directory = directory
        self._open_fetch = open_fetch
        self._fetch: FetchRange | None = None
        self._fetching = threading.Lock()

    def close(self) -> None:
        """Close the segments. Idempotent."""
        super().close()
        self._blocks.close()

    def _decode(self, index: int, checkpoint: Checkpoint) -> bytes:
        place = ChunkPlace.parse(checkpoint.window)
        if place.end == checkpoint.blob_offset:
            return bytes(checkpoint.length)
        for _ in range(2):
            self._bring(checkpoint.blob_offset, place.end)
            packed = self._blocks.read(checkpoint.blob_offset, place.end)
            try:
                data = _unpack(packed, place.inner, checkpoint.length)
            except (zlib.error, zstandard.ZstdError, EOFError):
                data = b""
            if hashlib.sha256(data).digest() == place.sha256:
                return data
            if not self._blocks.forget(checkpoint.blob_offset, place.end):
                break
        raise CorruptStore(str(self._directory), f"the chunk at byte {checkpoint.blob_offset} does not have its digest")

    def _is_intact(self, checkpoint: Checkpoint, data: bytes) -> bool:
        return len(data) == checkpoint.length  # `_decode` verified the rest

    def _bring(self, start: int, end: int) -> None:
        """Fetch the missing bytes from `start` to `end`. Raises RootlayError (network)."""
        if not self._blocks.missing(start, end, FETCH_BYTES_MAX):
            return
        with self._fetching:
            ahead = max(end, start + AHEAD_BYTES)
            for begin, until in self._blocks.missing(start, ahead, FETCH_BYTES_MAX):
                if begin < end:  # no caller needs the part ahead of a gap
                    self._blocks.write(begin, self._fetched(begin, until))

    def _fetched(self, start: int, end: int) -> bytes:
        try:
            if self._fetch is None:
                self._fetch = self._open_fetch(self._directory)
            return self._fetch(start, end)
        except RootlayError as error:
            raise ContentUnreachable(Origin.read(self._directory).repository, str(error)) from error


def _unpack(packed: bytes, inner: int, length: int) -> bytes:
    """Return `length` bytes after the first `inner` decompressed ones of `packed`, one or more members or frames."""
    wanted = inner + length
    if packed.startswith(GZIP_MAGIC):
        return zlib.decompressobj(GZIP_WINDOW_BITS).decompress(packed, wanted)[inner:]
    return decompress_frames(packed, wanted)[inner:]


_WINDOW = Struct("<QQ32s")


@value
class ChunkPlace:
    """The data of a segment's checkpoint beyond its start: where its bytes end in the blob, how many decompressed bytes
    precede it, and the SHA-256 of its own bytes."""

    end: int
    inner: int
    sha256: bytes

    @classmethod
    def parse(cls, window: bytes) -> ChunkPlace:
        """Parse the stored form. Raises CorruptStore."""
        try:
            return cls(*_WINDOW.unpack(window))
        except struct_error as error:
            raise CorruptStore("layer index", "malformed chunk") from error

    def pack(self) -> bytes:
        """Return the stored form."""
        return _WINDOW.pack(self.end, self.inner, self.sha256)

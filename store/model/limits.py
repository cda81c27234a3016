"""How much an image may unpack to: protection against decompression bombs.

Rules:
1. The limits apply to the import of one image, all of its layers together. They count the output of the decompressors;
   none of that is written to disk, so a bomb costs time, not space.
2. Every real image is below the defaults. They exist so that no user waits for a petabyte of zeros.
3. The ratio counts only above `RATIO_FREE_BYTES`: a file of zeros is not an attack.
"""

from __future__ import annotations

from _thread import allocate_lock  # the import of `threading` itself takes 0.4 ms

from rootlay.store.model.errors import TooLarge
from rootlay.store.model.value import value

RATIO_FREE_BYTES = 8 << 30


@value
class Limits:
    """Limits of one image: uncompressed bytes of its layers, entries, and uncompressed by compressed bytes."""

    size_bytes: int = 1 << 40
    entries: int = 10_000_000
    ratio: int = 2_000  # gzip reaches 1032; zstd, xz and bzip2 more


class Budget:
    """The remaining part of the limits. Layers that are fetched in parallel share one."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = allocate_lock()
        self._bytes = 0
        self._entries = 0

    def take_bytes(self, count: int, what: str) -> None:
        """Subtract `count` uncompressed bytes. Raises TooLarge."""
        with self._lock:
            self._bytes += count
            taken = self._bytes
        if taken > self._limits.size_bytes:
            raise TooLarge(what, f"the image unpacks to more than {self._limits.size_bytes} bytes", "--max-size")

    def take_entries(self, count: int, what: str) -> None:
        """Subtract `count` entries. Raises TooLarge."""
        with self._lock:
            self._entries += count
            taken = self._entries
        if taken > self._limits.entries:
            raise TooLarge(what, f"the image has more than {self._limits.entries} entries", "--max-entries")

    def check_ratio(self, compressed_bytes: int, tar_bytes: int, what: str) -> None:
        """Raise TooLarge if `tar_bytes` is too much for the compressed bytes."""
        if tar_bytes > RATIO_FREE_BYTES and tar_bytes > self._limits.ratio * max(compressed_bytes, 1):
            reason = f"it unpacks to more than {self._limits.ratio} times its size"
            raise TooLarge(what, reason, "--max-ratio")

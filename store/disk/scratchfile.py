"""A file without a name for what need not be in memory: it disappears with its process."""

from __future__ import annotations

import os
import weakref
from pathlib import Path


class ScratchFile:
    """Pieces of bytes by their place. The file is made when it is needed, and closed when nothing refers to it."""

    def __init__(self, directory: Path | None) -> None:
        """Make the file in `directory`, of a real disk; None: there will be none."""
        self._directory = directory
        self._fd = -1
        self._end = 0

    def append(self, data: bytes | bytearray) -> int | None:
        """Write a piece and return its place.

        None if there is no file (its file system may have no such files), or the disk is full: then no piece is
        accepted any more, and those that were can be read.
        """
        if self._directory is None:
            return None
        place = self._end
        try:
            if self._fd < 0:
                self._fd = os.open(self._directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
                weakref.finalize(self, os.close, self._fd)
            if os.pwrite(self._fd, data, place) == len(data):
                self._end += len(data)
                return place
        except OSError:
            pass
        self._directory = None
        return None

    def read(self, place: int, count: int) -> bytes:
        """Return `count` bytes of what was written, from `place` on."""
        return os.pread(self._fd, count, place)

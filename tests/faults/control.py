"""The memory that the injectors share (control.h), from Python."""

from __future__ import annotations

import errno
import mmap
import os
import struct
from pathlib import Path

KILL = -1
STOP = -2
ACTIONS = {
    "kill": KILL,
    "ENOSPC": errno.ENOSPC,
    "EDQUOT": errno.EDQUOT,
    "EIO": errno.EIO,
    "EROFS": errno.EROFS,
}
_FIELDS = struct.Struct("<IIIi")


class Control:
    """The chosen point, and the action there."""

    def __init__(self, path: Path) -> None:
        """Open the file; make it if it is missing."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(fd, 4096)
        self._map = mmap.mmap(fd, 4096)
        os.close(fd)

    def arm(self, at: int = 0, action: str = "kill") -> None:
        """Start to count. At point `at` (0: none) the action happens; `stop` is a SIGSTOP, in the core only."""
        self._map[: _FIELDS.size] = _FIELDS.pack(0, 1, at, STOP if action == "stop" else ACTIONS[action])

    def disarm(self) -> int:
        """Stop to count. Return the number of points."""
        count = self.count
        self._map[: _FIELDS.size] = _FIELDS.pack(count, 0, 0, 0)
        return count

    @property
    def count(self) -> int:
        return int(_FIELDS.unpack_from(self._map)[0])

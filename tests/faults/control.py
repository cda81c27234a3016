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
    """Which point is meant, and what is to happen there."""

    def __init__(self, path: Path) -> None:
        """Make the file, or take the one that is there."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(fd, 4096)
        self._map = mmap.mmap(fd, 4096)
        os.close(fd)

    def arm(self, at: int = 0, action: str = "kill") -> None:
        """Count from now on; at point `at` (0: nowhere) comes the action, or `stop`: SIGSTOP, in the core."""
        self._map[: _FIELDS.size] = _FIELDS.pack(0, 1, at, STOP if action == "stop" else ACTIONS[action])

    def disarm(self) -> int:
        """Stop. How many points there were."""
        count = self.count
        self._map[: _FIELDS.size] = _FIELDS.pack(count, 0, 0, 0)
        return count

    @property
    def count(self) -> int:
        return int(_FIELDS.unpack_from(self._map)[0])

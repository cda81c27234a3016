"""The part of a mode that a real file in the upper has, and the part that is recorded."""

from __future__ import annotations

import stat


def real_mode(mode: int) -> int:
    """Return the permission bits for a real file that represents one of `mode`.

    The container's user keeps access whatever the mode is; set-id bits are never real. (The engine leaves out the
    owner's write bit of a regular file if the mode has none: see `Upper.make_writable`.)
    """
    keep = 0o700 if stat.S_ISDIR(mode) else 0o600
    return (mode & 0o1777) | keep


def recorded_mode(mode: int, real_type: int) -> int | None:
    """Return the mode to record for a real file: None if the real file has all of it."""
    if stat.S_IFMT(mode) == real_type and (stat.S_ISLNK(mode) or stat.S_IMODE(mode) == real_mode(mode)):
        return None
    return mode

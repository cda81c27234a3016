"""Removing what has been put out of sight: a *grave*, `tmp/removed-…`, that holds a container or some uppers.

What a crash leaves of one is swept like every other leftover in `tmp/` (`rootlay.store.durable`).
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import Any


def bury(grave: Path) -> int:
    """Remove what `Containers` has put out of sight, if there is anything. Returns the number of bytes freed."""
    if not grave.exists():
        return 0
    freed = disk_bytes(grave)
    remove_grave(grave)
    return freed


def remove_grave(grave: Path) -> None:
    """As `bury`, uncounted."""
    remove_by_force(grave)


def disk_bytes(path: Path) -> int:
    """Bytes on disk of the files below a directory."""
    total = 0
    for directory, _, files in os.walk(path):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(directory, name)).st_blocks * 512
    return total


def remove_by_force(path: Path) -> None:
    """Remove a directory, and make writable what a program of the user's own made unwritable."""
    import shutil

    shutil.rmtree(path, onerror=_make_writable)


def _make_writable(function: Any, path: str, info: Any) -> None:
    """rmtree's second try: a directory that a program of the user's own made unwritable on the host."""
    if isinstance(info[1], OSError) and info[1].errno in (errno.EACCES, errno.EPERM):
        os.chmod(os.path.dirname(path), 0o700)
        if os.path.isdir(path) and not os.path.islink(path):
            os.chmod(path, 0o700)
            remove_by_force(Path(path))
        else:
            os.unlink(path)
    elif not isinstance(info[1], FileNotFoundError):
        raise info[1]

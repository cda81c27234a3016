"""The trash: directories `tmp/removed-…` that hold removed containers and uppers until they are deleted.

A sweep removes the rest of one after a crash, like every other leftover in `tmp/` (`rootlay.store.disk.durable`).
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from rootlay.store.disk.removetree import remove_tree
from rootlay.store.disk.walktree import iter_tree


def empty_trash(trash: Path) -> int:
    """Delete a trash directory, if it exists. Returns the number of bytes freed."""
    return remove_tree(trash)


def disk_bytes(path: Path) -> int:
    """Return the bytes on disk of the files below a directory."""
    total = 0
    for fd, entry in iter_tree(path):
        if not entry.is_dir(follow_symlinks=False):
            with contextlib.suppress(OSError):
                total += os.stat(entry.name, dir_fd=fd, follow_symlinks=False).st_blocks * 512
    return total

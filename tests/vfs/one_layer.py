"""The layer that the tests of single overlay rules stand on, and short ways to look at it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from rootlay.vfs.merge.filerecord import NAME
from rootlay.vfs.overlay.overlay import Overlay
from tests.support.oracles.memory_view import directory, file, hardlink, symlink

INO = 1 << 48
LONG = b"n" * 255

LAYER = [
    directory(b"", 0o755),
    directory(b"d", 0o750, uid=3, gid=4, mtime_ns=10**18 + 7),
    file(b"d/f", b"content", 0o4755, uid=5, gid=6, mtime_ns=10**18 + 9),
    file(b"d/g", b"g"),
    directory(b"d/sub"),
    file(b"d/sub/x", b"x"),
    symlink(b"d/l", b"f"),
    file(b"one", b"shared"),
    hardlink(b"two", b"one"),
    directory(b"empty"),
    file(LONG, b"long"),
]


def names(path: Path) -> list[bytes]:
    return sorted(os.listdir(os.fsencode(path)))


def record_of(path: Path) -> bytes:
    """The text of the record of an object of an upper, wherever it is."""
    with contextlib.suppress(OSError):
        return os.getxattr(path, NAME, follow_symlinks=False)
    return os.readlink(os.fsencode(path.parent) + b"/.wh..wh.m." + os.fsencode(path.name))


def read(overlay: Overlay, path: str | bytes) -> bytes:
    with overlay.open_content(path) as stream:
        return stream.read()

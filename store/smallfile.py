"""Files of a few kilobytes, read and written whole: without what Python's file objects ask the kernel beside."""

from __future__ import annotations

import os

_CHUNK_BYTES = 1 << 16


def read_small(path: os.PathLike[str] | str) -> bytes:
    """As Path.read_bytes. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, _CHUNK_BYTES):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]

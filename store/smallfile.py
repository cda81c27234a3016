"""Files of a few kilobytes, read and written whole: without what Python's file objects ask the kernel beside."""

from __future__ import annotations

import os

from rootlay.store.regularfile import iter_regular


def read_small(path: os.PathLike[str] | str) -> bytes:
    """As Path.read_bytes, but for what `rootlay.store.regularfile` refuses. Raises NotARegularFile, OSError."""
    return b"".join(iter_regular(path, follow=True))


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]

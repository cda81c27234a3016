"""Files of a few kilobytes, read and written whole: without what Python's file objects ask the kernel beside."""

from __future__ import annotations

import os

from rootlay.store.disk.regularfile import iter_regular


def read_small(path: os.PathLike[str] | str) -> bytes:
    """As Path.read_bytes, but for what `rootlay.store.disk.regularfile` refuses. Raises NotARegularFile, OSError."""
    return b"".join(iter_regular(path, follow=True))


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def overwrite(path: os.PathLike[str] | str, data: bytes) -> None:
    """Put JSON in the place of a file's content by one write, with spaces behind it where it is shorter: that takes no
    block from a full disk. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, data.ljust(os.fstat(descriptor).st_size))
    finally:
        os.close(descriptor)

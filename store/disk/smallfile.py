"""Files of a few kilobytes, read and written whole, without the extra system calls of Python's file objects."""

from __future__ import annotations

import os

from rootlay.store.disk.regularfile import iter_regular


def read_small(path: os.PathLike[str] | str) -> bytes:
    """Read as Path.read_bytes, but refuse the types that `rootlay.store.disk.regularfile` refuses. Raises
    NotARegularFile, OSError."""
    return b"".join(iter_regular(path, follow=True))


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of it: a disk that fills up accepts a part first, and reports the error at the next write.

    Raises OSError.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def overwrite(path: os.PathLike[str] | str, data: bytes) -> None:
    """Overwrite a file's content with JSON by one write, padded with spaces if it is shorter: that needs no new block
    on a full disk. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, data.ljust(os.fstat(descriptor).st_size))
    finally:
        os.close(descriptor)

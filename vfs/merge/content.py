"""Reading an object's content from any layer."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import BinaryIO

from rootlay.vfs.merge.errors import os_error
from rootlay.vfs.merge.lookup import Found
from rootlay.vfs.merge.stack import Stack


def real_path(stack: Stack, found: Found) -> bytes:
    """Return a real path that holds the object; a view entry is hydrated. The caller must not write to it.

    Raises:
        OSError: EIO when the stack has no hydrator.
    """
    if found.parts:
        part = found.parts[0]
        return stack.dirs[part.layer].real(part.path)
    if stack.hydrator is None or found.node is None:
        raise os_error(errno.EIO, found.path)
    return os.fsencode(stack.hydrator.hydrate(found.node.id))


def open_content(stack: Stack, found: Found) -> BinaryIO:
    """Open a seekable stream of a regular file's bytes, without hydrating. The caller closes it.

    Raises:
        OSError: EIO if the stack has no hydrator; ESTALE if another object is there now; errors of opening the real
            file.
    """
    if found.parts:
        return os.fdopen(_open_regular(real_path(stack, found), found), "rb")
    if stack.hydrator is None:
        raise os_error(errno.EIO, found.path)
    return stack.hydrator.open(found.node)


def _open_regular(real: bytes, found: Found) -> int:
    """Return a descriptor of an object found to be a regular file. If it no longer is one, do not wait for it."""
    descriptor = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise os_error(errno.ESTALE, found.path)
    return descriptor


def data_runs(stack: Stack, found: Found, stream: BinaryIO, size: int) -> tuple[tuple[int, int], ...]:
    """Return the parts of a file that hold data, as (offset, length), in order; the rest are holes (zeros)."""
    if found.node is not None:
        return found.node.sparse if found.node.sparse is not None else ((0, size),) if size else ()
    runs: list[tuple[int, int]] = []
    descriptor, offset = stream.fileno(), 0
    while offset < size:
        try:
            start = os.lseek(descriptor, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                break
            return ((0, size),)  # the file system does not support holes
        offset = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        if start < offset:
            runs.append((start, offset - start))
    return tuple(runs)


def copy_content(
    stack: Stack,
    found: Found,
    target: int,
    limit: int | None = None,
    copied: Callable[[int], None] = lambda count: None,
) -> None:
    """Write an object's bytes to an empty file, holes kept.

    Args:
        target: descriptor, open for writing.
        limit: maximum number of bytes to copy (a truncation follows).
        copied: receives the number of bytes of each piece.
    """
    if limit == 0:
        return
    with open_content(stack, found) as stream:
        size = os.fstat(stream.fileno()).st_size if found.parts else found.node.size if found.node else 0
        size = size if limit is None else min(size, limit)
        for start, length in data_runs(stack, found, stream, size):
            _copy_run(stream, target, start, min(length, size - start), bool(found.parts), copied)
    os.ftruncate(target, size)


_CHUNK_BYTES = 1 << 20
_RANGE_BYTES = 64 << 20
"""The kernel copies that many at once: some tenths of a second, after which the progress is reported."""


def _copy_run(
    stream: BinaryIO, target: int, start: int, length: int, real: bool, copied: Callable[[int], None]
) -> None:
    if length <= 0:
        return
    if real:
        source, end = stream.fileno(), start + length
        try:
            while start < end:
                count = os.copy_file_range(source, target, min(end - start, _RANGE_BYTES), start, start)
                if count == 0:
                    return
                start += count
                copied(count)
            return
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM):
                raise
            length = end - start
    stream.seek(start)
    while length > 0:
        chunk = stream.read(min(length, _CHUNK_BYTES))
        if not chunk:
            return
        os.pwrite(target, chunk, start)
        start += len(chunk)
        length -= len(chunk)
        copied(len(chunk))

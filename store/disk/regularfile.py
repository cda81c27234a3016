"""Open a file by a foreign name: a blob of an image directory, a file of a build context, a bundle.

Rules:
1. Opening never waits, and only a regular file is read: a FIFO, a socket or a device in its place is refused. The type
   is tested before opening (opening a device may have effects) and again on the open file (another process may have
   replaced it), with O_NONBLOCK in between.
2. A link is followed only if the caller allows it.
3. A file is read up to its size at opening: the content of a permanently growing one ends.
4. On the path of `rootlay run FILE`: nothing heavy may be imported here.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from rootlay.store.model.errors import RootlayError, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

_CHUNK_BYTES = 1 << 18
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
StrangersPath = str | bytes | os.PathLike[str]


class NotARegularFile(RootlayError):
    """A file of another type in the place of a regular file."""

    fault = "image"
    exit_code = 35

    def __init__(self, what: str, kind: str) -> None:
        super().__init__(f"{what}: {kind}, not a regular file")
        self.what = what
        self.kind = kind


def open_regular(path: StrangersPath, *, follow: bool, dir_fd: int | None = None, what: str = "") -> int:
    """Return a descriptor for reading; the caller closes it.

    Args:
        follow: whether the last component may be a link (the others are always followed).
        what: the file's name in messages; `path` by default.

    Raises NotARegularFile, OSError.
    """
    what = what or printable(os.fsencode(path))
    _check(os.stat(path, dir_fd=dir_fd, follow_symlinks=follow).st_mode, what)
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags, dir_fd=dir_fd)
    except OSError as error:
        if error.errno == errno.ELOOP and not follow:
            raise NotARegularFile(what, _KINDS[stat.S_IFLNK]) from error
        if error.errno == errno.ENXIO:
            raise NotARegularFile(what, _KINDS[stat.S_IFSOCK]) from error
        raise
    try:
        _check(os.fstat(descriptor).st_mode, what)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_regular_stream(path: StrangersPath, *, follow: bool, what: str = "") -> BinaryIO:
    """Open as `open_regular`; return an unbuffered stream."""
    return os.fdopen(open_regular(path, follow=follow, what=what), "rb", buffering=0)


def iter_regular(path: StrangersPath, *, follow: bool, dir_fd: int | None = None, what: str = "") -> Iterator[bytes]:
    """Yield the content, in chunks, by rule 3. Raises as `open_regular`."""
    descriptor = open_regular(path, follow=follow, dir_fd=dir_fd, what=what)
    try:
        left = os.fstat(descriptor).st_size
        while left and (chunk := os.read(descriptor, min(left, _CHUNK_BYTES))):
            left -= len(chunk)
            yield chunk
    finally:
        os.close(descriptor)


def _check(mode: int, what: str) -> None:
    if not stat.S_ISREG(mode):
        raise NotARegularFile(what, _KINDS.get(stat.S_IFMT(mode), "no file"))

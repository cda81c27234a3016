"""The `tree/` directory of a layer: hydrated files at their own paths (docs/format.md §3).

Rules:
1. No symbolic link inside a tree is ever followed: every step is an `openat` with O_NOFOLLOW from the tree's root.
2. A file is complete or absent: it is written elsewhere in the same file system and linked into place. Two writers
   of one file both succeed, and the first one's file stays, so that all descriptors have the same inode number.
3. Nothing is synced, since a tree is derived data. A file of the wrong size, which a power failure may leave, is
   replaced; rootlay.store.hydrate.repair keeps programs that send no request away from it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

Parts = tuple[bytes, ...]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OWNER_RWX = 0o700
# Set-id bits would give away the rights of the storing user; the view supplies the bits that programs see.
KEPT_BITS = 0o1777
# Answers of file systems without hard links (FAT, some network and FUSE file systems).
_NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})


def split_path(path: bytes) -> Parts:
    """Return the components of an absolute path. Raises OSError (EIO) for one that no view should hold."""
    parts = tuple(part for part in path.split(b"/") if part)
    if b".." in parts or b"." in parts:
        raise OSError(errno.EIO, "the view is damaged: a path has dots", os.fsdecode(path))
    return parts


class HydratedTree:
    """One layer's tree. Stateless, so any number of threads and processes may use it at once.

    Every method raises OSError as the kernel does; ELOOP or ENOTDIR mean that the tree was tampered with.
    """

    def __init__(self, path: Path) -> None:
        """Use the tree at `path`, which need not exist."""
        self.path = path

    def make_directory(self, parts: Parts, mode_of: Callable[[Parts], int]) -> int:
        """Return a descriptor of a directory, made with its missing parents; the caller closes it.

        `mode_of` returns the permission bits of a new directory; its owner always has all of them.
        """
        with suppress(FileExistsError):
            os.mkdir(self.path, _OWNER_RWX)

        def make(fd: int, depth: int) -> int:
            name = parts[depth]
            with suppress(FileExistsError):
                os.mkdir(name, _OWNER_RWX, dir_fd=fd)
            below = os.open(name, _DIRECTORY, dir_fd=fd)
            try:
                os.fchmod(below, mode_of(parts[: depth + 1]) & KEPT_BITS | _OWNER_RWX)
            except BaseException:
                os.close(below)
                raise
            return below

        return self._walk(parts, make)

    def _walk(self, parts: Parts, missing: Callable[[int, int], int] | None = None) -> int:
        """Open a directory step by step; `missing` makes and opens the one at some depth."""
        fd = os.open(self.path, _DIRECTORY)
        for depth, name in enumerate(parts):
            try:
                below = os.open(name, _DIRECTORY, dir_fd=fd)
            except FileNotFoundError:
                if missing is None:
                    raise
                below = missing(fd, depth)
            finally:
                os.close(fd)
            fd = below
        return fd

    def open_directory(self, parts: Parts) -> int:
        """Return a descriptor of a directory; the caller closes it. Raises FileNotFoundError if it is missing."""
        return self._walk(parts)

    def open_file(self, parts: Parts) -> int:
        """Return a read-only descriptor of a hydrated regular file. Raises FileNotFoundError if it is missing."""
        directory = self._walk(parts[:-1])
        try:
            fd = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        finally:
            os.close(directory)
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        raise OSError(errno.EIO, "not a regular file", str(self.path))


def is_complete(directory: int, name: bytes, size: int) -> bool:
    """Return whether the file is there. Raises OSError (EIO) if something else has its name."""
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EIO, "the hydrated tree is damaged: not a regular file", os.fsdecode(name))
    return found.st_size == size


def publish_file(staged: str, fd: int, directory: int, name: bytes, mode: int, mtime_ns: int) -> None:
    """Give the finished file `staged` (open as `fd`) its mode and time, and its place in `directory`.

    `staged` does not exist afterwards. An existing file of the same size stays.
    """
    os.fchmod(fd, mode & KEPT_BITS | stat.S_IRUSR)
    with suppress(OverflowError):  # a time outside the range of this kernel's interface
        os.utime(fd, ns=(mtime_ns, mtime_ns))
    try:
        os.link(staged, name, dst_dir_fd=directory, follow_symlinks=False)
    except FileExistsError:
        if not is_complete(directory, name, os.fstat(fd).st_size):
            os.rename(staged, name, dst_dir_fd=directory)
            return
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        os.rename(staged, name, dst_dir_fd=directory)
        return
    os.unlink(staged)


def publish_symlink(target: bytes, directory: int, name: bytes, mtime_ns: int) -> None:
    """Make a symbolic link, if it is missing."""
    with suppress(FileExistsError):
        os.symlink(target, name, dir_fd=directory)
        with suppress(OverflowError):
            os.utime(name, ns=(mtime_ns, mtime_ns), dir_fd=directory, follow_symlinks=False)

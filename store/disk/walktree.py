"""Walks of a directory tree of any depth: no recursion, one descriptor at a time, no long paths.

os.walk is recursive up to Python 3.11, and reaches only paths of up to 4096 bytes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def iter_tree(top: os.PathLike[str] | str | bytes) -> Iterator[tuple[int, os.DirEntry[str]]]:
    """Yield everything below a directory, as (descriptor of its directory, entry), valid until the next item.

    A directory precedes its content. Links are not followed; directories that cannot be opened are skipped. If the way
    back up has changed meanwhile, the walk ends.
    """
    walk = _Walk()
    try:
        walk.enter(top, None)
        while walk.fd >= 0:
            with os.scandir(walk.fd) as scan:
                for entry in scan:
                    if entry.is_dir(follow_symlinks=False):
                        walk.levels[-1][1].append(entry.name)
                    yield walk.fd, entry
            walk.advance()
    finally:
        walk.close()


class _Walk:
    """The position of a walk: a descriptor of the current directory, and the remaining ones in those above it."""

    def __init__(self) -> None:
        self.fd = -1
        self.levels: list[tuple[tuple[int, int], list[str]]] = []  # (device, inode), names

    def enter(self, name: os.PathLike[str] | str | bytes, parent: int | None) -> bool:
        """Enter a directory, if it can be opened."""
        try:
            fd = os.open(name, _OPEN, dir_fd=parent)
        except OSError:
            return False
        self.close()
        self.fd = fd
        self.levels.append((_identity(fd), []))
        return True

    def advance(self) -> None:
        """Advance to the next directory; no descriptor at the end."""
        while self.fd >= 0:
            names = self.levels[-1][1]
            if not names:
                self._up()
            elif self.enter(names.pop(), self.fd):
                return

    def _up(self) -> None:
        self.levels.pop()
        above = os.open("..", _OPEN, dir_fd=self.fd) if self.levels else -1
        self.close()
        self.fd = above
        if self.levels and _identity(above) != self.levels[-1][0]:
            self.close()

    def close(self) -> None:
        """Close the descriptor."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def tar_bytes_below(path: os.PathLike[str] | str | bytes) -> int:
    """Return about the size of a tar of everything below a directory, in bytes: headers and contents."""
    total = 0
    for _, entry in iter_tree(path):
        with contextlib.suppress(OSError):
            status = entry.stat(follow_symlinks=False)
            content = status.st_size if entry.is_file(follow_symlinks=False) else 0
            total += tar_bytes(content, status.st_mtime_ns)
    return total


def tar_bytes(content: int, mtime_ns: int) -> int:
    """Return about the size of a tar's member, in bytes: a time between two seconds needs a PAX header."""
    return (1536 if mtime_ns % 10**9 else 512) + -(-content // 512) * 512


def names_below(path: os.PathLike[str] | str | bytes) -> int:
    """Return the number of names below a directory."""
    return sum(1 for _ in iter_tree(path))


def content_bytes(path: os.PathLike[str] | str) -> int:
    """Return the sizes of all files below a directory, as Docker counts containers and volumes."""
    total = 0
    for _, entry in iter_tree(path):
        with contextlib.suppress(OSError):
            if entry.is_file(follow_symlinks=False):
                total += entry.stat(follow_symlinks=False).st_size
    return total


def disk_bytes(path: os.PathLike[str] | str) -> int:
    """Return the bytes on disk of the files below a directory."""
    total = 0
    for fd, entry in iter_tree(path):
        if not entry.is_dir(follow_symlinks=False):
            with contextlib.suppress(OSError):
                total += os.stat(entry.name, dir_fd=fd, follow_symlinks=False).st_blocks * 512
    return total

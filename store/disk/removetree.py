"""Removal of a directory with all its content: any depth, any length of paths, any modes.

The content of a store is foreign: a program can make a tree of a hundred thousand levels, which neither a recursion nor
a path of 4096 bytes reaches, and remove the permissions of its directories.

Rules:
1. One descriptor a level; links are never followed: a directory that is swapped for a link is not entered.
2. From `LEVELS_MAX` levels on a directory is first renamed to the top, and removed from there: no more descriptors.
3. Directories that lack their owner's permissions get them back.
4. Another process may remove parts meanwhile, and another remover of the same tree may put something into a directory
   that we emptied: then we begin again. Entries that cannot be removed are left, the others are still removed; the
   first error is raised at the end.
5. On NFS a removed file that is open stays as `.nfs…` until it is closed, and so do its directories: no error.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
import sys
from collections.abc import Callable, Iterator

LEVELS_MAX = 64
_ROUNDS_MAX = 100
_ALL = sys.maxsize - 1
_BATCH = 4096  # names of one directory in memory
_OWNER_RWX = 0o700
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FIND = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(
    path: os.PathLike[str] | str | bytes,
    *,
    dir_fd: int | None = None,
    ignore_errors: bool = False,
    freed: Callable[[int], None] = lambda size: None,
) -> int:
    """Remove the directory `path` (in `dir_fd`) and everything in it. Do nothing if it is missing.

    Args:
        ignore_errors: remove everything that can be removed, without an error for the rest.
        freed: receives the bytes of disk of each removed file.

    Returns:
        The bytes of disk that the removed files took; a file with other names elsewhere counts in full.

    Raises:
        OSError: for the first entry that could not be removed, with its last name alone; NotADirectoryError for a
        `path` of another type.
    """
    removal = _Removal(freed=freed)
    removal.run(os.fsencode(path), dir_fd)
    if removal.error is not None and not ignore_errors:
        raise removal.error
    return removal.freed_bytes


def remove_some(path: os.PathLike[str] | str, entries: int) -> bool:
    """Remove as `remove_tree`, but at most that many names. Returns whether nothing is left; else call `remove_tree`
    for the rest.

    Raises:
        OSError: as `remove_tree`.
    """
    removal = _Removal(entries)
    removal.run(os.fsencode(path), None)
    if removal.error is not None:
        raise removal.error
    return removal.left >= 0


class _Removal:
    """A removal. `left`: how many names may still be removed; below 0, the limit was exceeded."""

    def __init__(self, left: int = _ALL, freed: Callable[[int], None] = lambda size: None) -> None:
        self.left = left
        self._freed = freed
        self._levels: list[tuple[int, bytes, list[bytes]]] = []  # descriptor, name in its parent, remaining directories
        self._hoisted = 0
        self._held = False  # a file of rule 5 was seen
        self.freed_bytes = 0
        self.error: OSError | None = None

    def run(self, path: bytes, parent: int | None) -> None:
        for _ in range(_ROUNDS_MAX):
            self.error, self._held = None, False
            self._round(path, parent)
            if self.left < 0 or not self._interfered():
                return

    def _interfered(self) -> bool:
        return self.error is not None and self.error.errno == errno.ENOTEMPTY

    def _round(self, path: bytes, parent: int | None) -> None:
        try:
            with self._noting():
                self._enter(path, parent)
            while self._levels and self.left >= 0:
                fd, name, directories = self._levels[-1]
                if directories:
                    self._down(directories.pop())
                    continue
                self._levels.pop()
                os.close(fd)
                with self._noting():
                    self._rmdir(name, self._levels[-1][0] if self._levels else parent)
        finally:
            while self._levels:
                os.close(self._levels.pop()[0])

    def _rmdir(self, name: bytes, parent: int | None) -> None:
        try:
            os.rmdir(name, dir_fd=parent)
        except OSError as error:
            if not self._held or error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            pass
        except OSError as error:
            if self.error is None:
                self.error = error

    def _down(self, name: bytes) -> None:
        """Enter a subdirectory of the current one, or add it to the first one's list if the depth is too large."""
        fd = self._levels[-1][0]
        with self._noting():
            if len(self._levels) < LEVELS_MAX:
                self._enter(name, fd)
                return
            top, _, directories = self._levels[0]
            os.close(_open_directory(name, fd))  # it must be writable, since its `..` changes
            while True:
                self._hoisted += 1
                new = b".hoisted-%d" % self._hoisted
                try:
                    os.rename(name, new, src_dir_fd=fd, dst_dir_fd=top)
                    break
                except OSError as error:
                    if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                        raise
            directories.append(new)

    def _enter(self, name: bytes, parent: int | None) -> None:
        """Open a directory, remove its files and note its directories."""
        fd = _open_directory(name, parent)
        directories: list[bytes] = []
        self._levels.append((fd, name, directories))
        with self._noting(), os.scandir(fd) as scan:
            # A name that the kernel leaves out because others were removed meanwhile is found by rule 4.
            while found := list(itertools.islice(scan, min(_BATCH, self.left + 1))):
                self.left -= len(found)
                if self.left < 0:
                    return
                self._remove(fd, found, directories)

    def _remove(self, fd: int, found: list[os.DirEntry[str]], directories: list[bytes]) -> None:
        """Remove the files among entries of a directory; add the names of the others to `directories`."""
        for entry in found:
            with self._noting():
                if entry.is_dir(follow_symlinks=False):
                    directories.append(os.fsencode(entry.name))
                    continue
                bytes_ = entry.stat(follow_symlinks=False).st_blocks * 512
                try:
                    os.unlink(entry.name, dir_fd=fd)
                except OSError as error:
                    if error.errno != errno.EBUSY or not entry.name.startswith(".nfs"):
                        raise
                    self._held = True
                    continue
                self.freed_bytes += bytes_
                self._freed(bytes_)


def _open_directory(name: bytes, parent: int | None) -> int:
    """Return a descriptor of a directory and make it readable, writable and searchable for its owner."""
    try:
        fd = os.open(name, _OPEN, dir_fd=parent)
    except PermissionError:
        found = os.open(name, _FIND, dir_fd=parent)
        try:
            os.chmod(f"/proc/self/fd/{found}", _OWNER_RWX)
            return os.open(name, _OPEN, dir_fd=parent)
        finally:
            os.close(found)
    if stat.S_IMODE(os.fstat(fd).st_mode) & _OWNER_RWX != _OWNER_RWX:
        with contextlib.suppress(OSError):  # not our file: the unlink reports it
            os.fchmod(fd, _OWNER_RWX)
    return fd

"""Exclusive locks between processes and threads: flock on a file that exists only while it is in use.

flock belongs to the open file description, so two threads of one process exclude each other, too, and the kernel
releases it when its holder dies.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType


class FileLock:
    """A held lock; release it once, by `release` or as a context manager."""

    __slots__ = ("_fd", "_path")

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd

    def write(self, data: bytes) -> None:
        """Append to the lock file, for other processes to read while it is held."""
        os.lseek(self._fd, 0, os.SEEK_END)
        os.write(self._fd, data)

    def release(self) -> None:
        """Remove the lock file and release the lock. The file is removed first: a waiting process then sees that its
        file has no name any more, and starts again with a new one."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        try:
            os.unlink(self._path)
        finally:
            os.close(fd)

    def __enter__(self) -> FileLock:
        """Return the lock itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the lock."""
        self.release()


def _lock(path: Path, operation: int) -> FileLock | None:
    """Lock `path`, created if missing; return None if `operation` does not wait and another process has it."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(fd, 0o600)
            fcntl.flock(fd, operation)
            if os.fstat(fd).st_nlink:
                return FileLock(path, fd)
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def acquire(path: Path) -> FileLock:
    """Wait for the lock file `path` and return its lock."""
    lock = _lock(path, fcntl.LOCK_EX)
    if lock is None:
        raise BlockingIOError(f"{path}: flock gave up waiting")
    return lock


def try_lock(path: Path) -> FileLock | None:
    """Lock the file `path` and return the lock, or None if it is held."""
    return _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)


_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


def _open_use(path: Path, remover: bool) -> int:
    """Return a descriptor of the file of a `UseLock`; -1 if the user cannot have one."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if remover or error.errno not in _READ_ONLY:
            raise
        with suppress(OSError):
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return -1
    try:
        os.fchmod(fd, 0o600)
    except BaseException:
        os.close(fd)
        raise
    return fd


class UseLock:
    """The lock between users of the store and removers: many users, or one remover. The file stays.

    A user without write permission for the file locks it nevertheless with read permission. Without that, or if the
    file was never made, the user has no lock: the store is read-only, and removers do not know of this user.
    """

    __slots__ = ("_fd",)

    def __init__(self, path: Path, *, remover: bool, wait: bool = True) -> None:
        """Wait until there is no remover (or, as the remover, no user). Without `wait` raise BlockingIOError."""
        self._fd = _open_use(path, remover)
        if self._fd < 0:
            return
        try:
            operation = fcntl.LOCK_EX if remover else fcntl.LOCK_SH
            fcntl.flock(self._fd, operation if wait else operation | fcntl.LOCK_NB)
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> UseLock:
        """Return the lock itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the lock."""
        if self._fd >= 0:
            os.close(self._fd)

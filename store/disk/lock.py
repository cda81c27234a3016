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
    """A lock that is held; release it once, by `release` or as a context manager."""

    __slots__ = ("_fd", "_path")

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd

    def write(self, data: bytes) -> None:
        """Append to the lock file, for others to read while it is held."""
        os.lseek(self._fd, 0, os.SEEK_END)
        os.write(self._fd, data)

    def release(self) -> None:
        """Remove the lock file and let the next one in. The file goes first: whoever waited for it then sees that
        its file has no name any more, and starts again with a new one."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        try:
            os.unlink(self._path)
        finally:
            os.close(fd)

    def __enter__(self) -> FileLock:
        """The lock itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release."""
        self.release()


def _lock(path: Path, operation: int) -> FileLock | None:
    """Lock `path`, created if missing; None when `operation` does not wait and somebody else has it."""
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
    """Wait for the lock file `path`."""
    lock = _lock(path, fcntl.LOCK_EX)
    if lock is None:
        raise BlockingIOError(f"{path}: flock gave up waiting")
    return lock


def try_lock(path: Path) -> FileLock | None:
    """The lock file `path` if nobody holds it, else None."""
    return _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)


_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


def _open_use(path: Path, remover: bool) -> int:
    """A descriptor of the file of a `UseLock`; -1 where a user can have none."""
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
    """Who uses the store against who removes from it: many users, or one remover. The file stays.

    A user who may not write the file locks it all the same where he may read it. Where he may not, or it was never
    made, he has no lock: his store is read-only, and whoever removes from it knows nothing of him.
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
        """The lock itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release."""
        if self._fd >= 0:
            os.close(self._fd)

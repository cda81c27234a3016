"""Output files that the user named (`-o FILE`): complete under that name, or absent.

Rules:
1. The bytes are written to a file without a name (`O_TMPFILE`), which the kernel removes with its writer; if the file
   system has none (NFS, overlayfs of old kernels), to `.NAME.PID.partial` next to it.
2. The file is synced, then linked to its name; an older file is replaced through `.NAME.PID.partial` and a rename. So
   the name leads to the old file or the new one, even if the writer is killed or the power fails.
3. An existing file that is not regular (a device, a pipe) is written to directly.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from rootlay.store.disk.durable import publish, sync_path
from rootlay.store.disk.removetree import remove_tree

_MODE = 0o666  # less the umask, like every output file of a program
_NO_TMPFILE = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL})


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the written file in an error of a full device."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            error.filename = str(path)
        raise


@contextlib.contextmanager
def output_file(path: Path, mode: int = _MODE) -> Iterator[BinaryIO]:
    """Open a stream whose bytes become the file `path` when the block succeeds; at an exception nothing changes.

    Args:
        mode: of a new file, less the umask.

    Raises OSError: it cannot be written.
    """
    if path.exists() and not path.is_file():
        with _named(path), open(path, "wb") as stream:
            yield stream
        return
    partial = _partial(path)
    try:
        fd, named = _open(path.parent, partial, mode)
    except OSError as error:
        error.filename = str(path)  # the name that the caller used
        raise
    try:
        with _named(path), open(fd, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(fd)
            if not named:
                named = _link(fd, path, partial)
        if named:
            publish(partial, path, durable=False)  # it is already synced
    except BaseException:
        if named:
            partial.unlink(missing_ok=True)
        raise
    _sync(path.parent)


@contextlib.contextmanager
def output_directory(path: Path) -> Iterator[Path]:
    """Make a directory to fill, which becomes `path` when the block succeeds; at an exception nothing of it stays.

    A killed writer leaves `.NAME.PID.partial`.

    Raises FileExistsError, OSError.
    """
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    partial = _partial(path)
    partial.mkdir()
    try:
        yield partial
        for directory, _, _ in os.walk(partial, topdown=False):  # the caller has synced the files
            _sync(Path(directory))
        publish(partial, path, durable=False)
    except BaseException:
        remove_tree(partial, ignore_errors=True)
        raise
    _sync(path.parent)


def _open(directory: Path, partial: Path, mode: int) -> tuple[int, bool]:
    """Open a new file without a name, or one called `partial` (True)."""
    try:
        return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, mode), False
    except OSError as error:
        if error.errno not in _NO_TMPFILE:
            raise
    return os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), True


def _link(fd: int, path: Path, partial: Path) -> bool:
    """Give a file its name; if that exists, the name `partial` (True)."""
    try:
        _link_to(fd, path)
    except FileExistsError:
        _link_to(fd, partial)
        return True
    return False


def _link_to(fd: int, path: Path) -> None:
    # With a directory descriptor Python calls linkat(AT_SYMLINK_FOLLOW); only that follows the link in /proc.
    os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=fd, follow_symlinks=True)


def _sync(directory: Path) -> None:
    """Sync the name to the disk. Best effort: some file systems sync no directories, and the file is there."""
    with contextlib.suppress(OSError):
        sync_path(directory)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.partial")

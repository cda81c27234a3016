"""The record of a regular file with several names: an attribute of the file (docs/format.md §6, *Shared record*).

It replaces the records next to the names, and is invisible to programs.
"""

from __future__ import annotations

import errno
import os

from rootlay.vfs.merge.record import Record

NAME = "user.rootlay.record"
_NONE = frozenset({errno.ENODATA, errno.EOPNOTSUPP, errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM})
_NO_ROOM = frozenset({errno.EOPNOTSUPP, errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EDQUOT, errno.E2BIG})


def find_shared(real: bytes) -> Record | None:
    """Return the shared record of a real regular file; None if it has none.

    Raises:
        ValueError: it is malformed.
    """
    try:
        text = os.getxattr(real, NAME, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NONE:
            raise
        return None
    return Record.parse(text)


def store_shared(real: bytes, pinned: bytes, record: Record) -> bool:
    """Make `record` the shared record of a real regular file. Atomic.

    Args:
        real, pinned: the file's path, as `DirLayer.real` and `DirLayer.pinned` give it.

    Returns:
        False if the file system has no such attributes, or no room: then the names must have the record.
    """
    mode = os.lstat(real).st_mode & 0o1777  # set-id bits are never real
    if not mode & 0o200:
        os.chmod(pinned, mode | 0o200)
    try:
        os.setxattr(real, NAME, record.format(), follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        return False
    finally:
        if not mode & 0o200:
            os.chmod(pinned, mode)
    return True

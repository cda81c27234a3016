"""Records of regular files and directories: an attribute of the real file (docs/format.md §6, *Record*).

It counts instead of a record next to the name, and is invisible to programs.
"""

from __future__ import annotations

import errno
import os

from rootlay.vfs.merge.record import NO_RECORD, Record

OWN = b"user.rootlay."
"""The beginning of names that no program sees."""
NAME = "user.rootlay.record"
_NONE = frozenset({errno.ENODATA, errno.EOPNOTSUPP, errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM})
_NO_ROOM = frozenset({errno.EOPNOTSUPP, errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EDQUOT, errno.E2BIG})


def find_record(real: bytes) -> Record | None:
    """Return the record in a real file or directory; None if it has none.

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


def has_record(real: bytes) -> bool:
    """Return whether a real file or directory has a record in it."""
    try:
        os.getxattr(real, NAME, follow_symlinks=False)
    except OSError:
        return False
    return True


def store_record(real: bytes, pinned: bytes, record: Record, *, remove: bool = False) -> bool:
    """Make `record` the record in a real file or directory. Atomic.

    Args:
        real, pinned: the file's path, as `DirLayer.real` and `DirLayer.pinned` give it.
        remove: remove the attribute if the record is empty. An empty one still hides a record next to the name.

    Returns:
        False if the file system has no such attributes, or no room: then the record must be next to the name.
    """
    mode = os.lstat(real).st_mode & 0o1777  # set-id bits are never real
    if not mode & 0o200:
        os.chmod(pinned, mode | 0o200)
    try:
        if remove and record == NO_RECORD:
            os.removexattr(real, NAME, follow_symlinks=False)
        else:
            os.setxattr(real, NAME, record.format(), follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENODATA:
            return True
        if error.errno not in _NO_ROOM:
            raise
        return False
    finally:
        if not mode & 0o200:
            os.chmod(pinned, mode)
    return True

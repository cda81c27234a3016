"""renameat2(2), which the standard library does not have."""

from __future__ import annotations

import errno
import os

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
_AT_FDCWD = -100


def renameat2(old: bytes, new: bytes, flags: int) -> None:
    """Rename with one of the flags. Raises OSError; EINVAL: the file system does not have the flag."""
    import ctypes  # only few changes need it

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_AT_FDCWD, old, _AT_FDCWD, new, ctypes.c_uint(flags)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def publish(old: bytes, new: bytes) -> None:
    """Give a finished object its name. Precondition: the upper's lock is held. Raises FileExistsError."""
    try:
        renameat2(old, new, RENAME_NOREPLACE)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        if os.path.lexists(new):  # a file system without that flag
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        os.rename(old, new)

"""Owners, modes and ACLs of files in volumes, which an ordinary user cannot give to real files (docs/format.md §13).

The engine (`vfs/csrc/core/layers/volume.c`) has the same rules. A directory whose own attribute is missing has no
records: a volume of an earlier version, or a file system without user attributes.
"""

from __future__ import annotations

import contextlib
import os
import stat

Acls = tuple[tuple[bytes, bytes], ...]
"""The names and values of POSIX ACLs (rootlay.store.model.posixacl)."""
ATTRIBUTE = "user.rootlay.record"
BESIDE = b"user.rootlay.of."
_OTHER_MODE = 0o1777


def begin_records(directory: str | os.PathLike[str]) -> None:
    """Let the files of an empty directory have records, if the file system can store them."""
    with contextlib.suppress(OSError):
        os.setxattr(directory, ATTRIBUTE, b"")


def has_records(directory: str | os.PathLike[str]) -> bool:
    """Return whether the files of this volume have records."""
    try:
        os.getxattr(directory, ATTRIBUTE)
    except OSError:
        return False
    return True


def real_mode(mode: int) -> int:
    """Return the permission bits of a real file for a full st_mode that programs see."""
    return mode & _OTHER_MODE | (0o700 if stat.S_ISDIR(mode) else 0o600)


def owner_text(mode: int, uid: int, gid: int, acls: Acls = ()) -> bytes:
    """Return the text of a record; empty for what the real file shows without one."""
    fields = [b"u=%d" % uid] * bool(uid) + [b"g=%d" % gid] * bool(gid)
    if not stat.S_ISLNK(mode) and stat.S_IMODE(mode) != real_mode(mode):
        fields.append(b"m=%o" % mode)
    fields += [b"x%s=%s" % (name.hex().encode(), text.hex().encode()) for name, text in sorted(acls)]
    return b";".join(fields)


def store_owner(path: str, mode: int, uid: int, gid: int, *, acls: Acls = ()) -> None:
    """Record owner, mode and ACLs of a regular file or directory, and set the real mode. `path` is followed."""
    text = owner_text(mode, uid, gid, acls)
    os.chmod(path, real_mode(mode))
    with contextlib.suppress(OSError):
        os.setxattr(path, ATTRIBUTE, text, 0 if text else os.XATTR_REPLACE)


def store_owner_beside(directory: str, name: bytes, mode: int, uid: int, gid: int, *, acls: Acls = ()) -> None:
    """Record the owner and the ACLs of a link, FIFO or socket in its directory."""
    text = owner_text(mode, uid, gid, acls)
    with contextlib.suppress(OSError):
        if text:
            os.setxattr(directory, BESIDE + name, text)
        else:
            os.removexattr(directory, BESIDE + name)

"""Extended attributes: real where an ordinary user can set them, recorded otherwise.

1. `user.*` on regular files and directories is set on the real file; if the file system refuses (no support, no space),
   it is recorded.
2. `security.*`, `trusted.*` and ACLs (`system.posix_acl_*`) are recorded, never real: they need privileges, or would
   change what the kernel permits to the container's user.
3. `user.*` on anything else is refused as the kernel refuses it (EPERM).
4. Attributes that the machine itself sets on every file (`security.selinux`) are not the container's and are never
   shown; nor are those of rootlay itself (`user.rootlay.`).
"""

from __future__ import annotations

import errno
import os
import stat

from rootlay.store.model.value import replace
from rootlay.vfs.merge.errors import os_error
from rootlay.vfs.merge.filerecord import OWN
from rootlay.vfs.merge.lookup import Found
from rootlay.vfs.merge.record import RECORD_MAX_BYTES, Record
from rootlay.vfs.merge.stack import Stack

_HIDDEN = frozenset({b"security.selinux", b"security.ima", b"security.evm"})
_NAMESPACES = (b"user.", b"security.", b"trusted.", b"system.")
NAME_MAX_BYTES = 255
VALUE_MAX_BYTES = 65536
_REFUSED = frozenset({errno.EOPNOTSUPP, errno.ENOSPC, errno.EDQUOT, errno.EPERM, errno.E2BIG, errno.EACCES})


def all_xattrs(stack: Stack, found: Found) -> dict[bytes, bytes]:
    """Return all extended attributes of an object, sorted by name."""
    merged: dict[bytes, bytes] = {}
    if found.parts:
        part = found.parts[0]
        layer = stack.dirs[part.layer]
        merged = _real_xattrs(layer.real(part.path), only_user=layer.marks)
        merged.update(found.record.xattrs)
    elif found.node is not None:
        merged = {name: value for name, value in found.node.xattrs if not name.startswith(OWN)}
    return dict(sorted(merged.items()))


def _real_xattrs(real: bytes, only_user: bool) -> dict[bytes, bytes]:
    try:
        names = [os.fsencode(name) for name in os.listxattr(real, follow_symlinks=False)]
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return {}
        raise
    found: dict[bytes, bytes] = {}
    for name in names:
        if name in _HIDDEN or name.startswith(OWN) or (only_user and not name.startswith(b"user.")):
            continue
        try:
            found[name] = os.getxattr(real, name, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.ENODATA, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP):
                raise
    return found


def check_name(name: bytes, mode: int, path: bytes, *, write: bool) -> None:
    """Refuse a name as the kernel does. Raises ERANGE, EOPNOTSUPP, EPERM (write), ENODATA (read), TypeError."""
    if not isinstance(name, bytes):
        raise TypeError(f"the name of an extended attribute is bytes, not {type(name).__name__}: {name!r}")
    if not 0 < len(name) <= NAME_MAX_BYTES:
        raise os_error(errno.ERANGE, path)
    if name.startswith(OWN):
        raise os_error(errno.EPERM if write else errno.ENODATA, path)
    if not name.startswith(_NAMESPACES):
        raise os_error(errno.EOPNOTSUPP, path)
    if name.startswith(b"user.") and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise os_error(errno.EPERM if write else errno.ENODATA, path)


def store(real: bytes, record: Record, name: bytes, value: bytes, path: bytes) -> Record:
    """Set one attribute on a real file of the upper. Return the record to write afterwards.

    Raises:
        OSError: ENOSPC when neither the file system nor the record has room.
    """
    others = tuple(item for item in record.xattrs if item[0] != name)
    if name.startswith(b"user."):
        try:
            os.setxattr(real, name, value, follow_symlinks=False)
            return replace(record, xattrs=others)
        except OSError as error:
            if error.errno not in _REFUSED:
                raise
            drop(real, name)
    changed = replace(record, xattrs=tuple(sorted((*others, (name, value)))))
    if len(changed.format()) > RECORD_MAX_BYTES:
        raise os_error(errno.ENOSPC, path)
    return changed


def drop(real: bytes, name: bytes) -> None:
    """Remove a real attribute if it exists."""
    try:
        os.removexattr(real, name, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP, errno.EPERM):
            raise

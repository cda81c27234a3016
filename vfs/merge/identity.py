"""The user who acts inside a container, and the permissions of that user.

1. uid 0 may do everything, as with CAP_DAC_OVERRIDE, CAP_FOWNER and CAP_CHOWN.
2. For every other user the *virtual* owner and mode apply, as the kernel applies them on a plain directory.
"""

from __future__ import annotations

import errno
import stat

from rootlay.store.model import posixacl
from rootlay.store.model.value import value
from rootlay.vfs.merge.attributes import Attributes
from rootlay.vfs.merge.errors import os_error

READ, WRITE, EXECUTE = 4, 2, 1


@value
class Identity:
    """A user inside. `umask` in octal, as `os.umask` has it."""

    uid: int = 0
    gid: int = 0
    groups: frozenset[int] = frozenset()
    umask: int = 0o022

    @property
    def is_root(self) -> bool:
        return self.uid == 0

    def is_member(self, gid: int) -> bool:
        """Return whether the identity belongs to a group."""
        return gid == self.gid or gid in self.groups

    def may(self, attributes: Attributes, mask: int) -> bool:
        """Return whether the mode bits and the ACL grant the requested READ, WRITE and EXECUTE (path_resolution(7))."""
        mode = attributes.mode
        if self.is_root:
            return not mask & EXECUTE or stat.S_ISDIR(mode) or bool(mode & 0o111)
        acl = attributes.acl
        if (
            acl is not None and self.uid != attributes.uid and mode & 0o070
        ):  # the kernel ignores it if the mask is empty
            return posixacl.permits(acl, self.uid, (self.gid, *self.groups), attributes.gid, mask)
        shift = 6 if self.uid == attributes.uid else 3 if self.is_member(attributes.gid) else 0
        return (mode >> shift) & mask == mask

    def require(self, attributes: Attributes, mask: int, path: bytes) -> None:
        """Raise PermissionError (EACCES) unless `may`."""
        if not self.may(attributes, mask):
            raise os_error(errno.EACCES, path)

    def require_owner(self, attributes: Attributes, path: bytes) -> None:
        """Raise PermissionError (EPERM) unless the identity owns the object or is root."""
        if not self.is_root and self.uid != attributes.uid:
            raise os_error(errno.EPERM, path)

    def require_removal(self, directory: Attributes, victim: Attributes, path: bytes) -> None:
        """Raise PermissionError if an entry must not be removed: no write permission, or the sticky bit."""
        self.require(directory, WRITE | EXECUTE, path)
        if directory.mode & stat.S_ISVTX and not self.is_root and self.uid not in (directory.uid, victim.uid):
            raise os_error(errno.EPERM, path)

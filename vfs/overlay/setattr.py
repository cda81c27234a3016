"""Changes of an object's attributes: mode, owner, times, size, extended attributes.

Steps: copy-up; the record; the real file. A record that is equal to the real file's attributes is not written. After a
crash between the last two, recorded attributes have the new state, and others the old one.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from rootlay.store.model import posixacl
from rootlay.store.model.posixacl import Acl
from rootlay.store.model.value import replace
from rootlay.vfs.merge import xattr
from rootlay.vfs.merge.attributes import access_acl
from rootlay.vfs.merge.errors import os_error
from rootlay.vfs.merge.identity import READ, WRITE
from rootlay.vfs.merge.lookup import Found
from rootlay.vfs.merge.record import RECORD_MAX_BYTES, Record
from rootlay.vfs.overlay.context import Context
from rootlay.vfs.overlay.copyup import owner_record
from rootlay.vfs.overlay.realmode import real_mode, recorded_mode

XATTR_CREATE = 1
XATTR_REPLACE = 2
_CAPABILITY = b"security.capability"
UNCHANGED = 0xFFFFFFFF
"""(uid_t)-1: chown leaves this one unchanged."""


class Changer:
    """The attribute changes of one stack."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def chmod(self, request: bytes, mode: int, *, follow: bool) -> None:
        context = self._context
        with context.upper.locked():
            found = context.existing(request, follow=follow)
            context.require_owner(found, request)
            if found.is_link:
                raise os_error(errno.EOPNOTSUPP, request)
            mode = stat.S_IMODE(mode)
            if not context.identity.is_root and not context.identity.is_member(context.attributes(found).gid):
                mode &= ~stat.S_ISGID
            found = context.copy_up.ensure(found)
            self._set_mode(found, found.record, stat.S_IFMT(found.mode) | mode)

    def chown(self, request: bytes, uid: int, gid: int, *, follow: bool) -> None:
        """Change an owner, chown(2): -1 leaves one unchanged; set-id bits and file capabilities are cleared."""
        context = self._context
        with context.upper.locked():
            found = context.existing(request, follow=follow)
            shown = context.attributes(found)
            uid = shown.uid if uid in (-1, UNCHANGED) else uid
            gid = shown.gid if gid in (-1, UNCHANGED) else gid
            self._require_chown(found, shown.uid, uid, gid != shown.gid, gid, request)
            found = context.copy_up.ensure(found)
            owner = owner_record(context.stack, uid, gid)
            record = replace(found.record, uid=owner.uid, gid=owner.gid)
            mode = found.mode
            if not found.is_dir and not found.is_link:
                record = replace(record, xattrs=tuple(item for item in record.xattrs if item[0] != _CAPABILITY))
                mode &= ~stat.S_ISUID
                mode &= ~stat.S_ISGID if mode & stat.S_IXGRP else ~0
            self._set_mode(found, record, mode)

    def utimens(self, request: bytes, times: tuple[int | None, int | None] | None, *, follow: bool) -> None:
        """Set times, utimensat(2). `times`: (access, modification) in ns; None leaves one unchanged; no times: now."""
        context = self._context
        with context.upper.locked():
            found = context.existing(request, follow=follow)
            shown = context.attributes(found)
            if times is not None:
                context.require_owner(found, request)
            elif context.identity.uid != shown.uid:
                context.require(found, WRITE, request)
            found = context.copy_up.ensure(found)
            real = context.upper.real(found.path)
            if times is None:
                os.utime(real, follow_symlinks=False)
            else:
                atime, mtime = times
                given = (shown.atime_ns if atime is None else atime, shown.mtime_ns if mtime is None else mtime)
                os.utime(real, ns=given, follow_symlinks=False)

    def truncate(self, request: bytes, size: int) -> None:
        context = self._context
        if size < 0:
            raise os_error(errno.EINVAL, request)
        with context.upper.locked():
            found = context.existing(request, follow=True)
            if found.is_dir:
                raise os_error(errno.EISDIR, request)
            context.require(found, WRITE, request)
            if not found.is_file:
                raise os_error(errno.EINVAL, request)
            lower = None if found.is_in(0) else context.attributes(found)
            found = context.copy_up.ensure(found, limit=size)
            context.upper.make_writable(found)
            real = context.upper.pinned(found.path)
            os.truncate(real, size)
            if lower is not None and lower.size > size:  # the copy has that length already: for the kernel, no change
                os.utime(real, ns=(lower.atime_ns, time.time_ns()))

    # ---- extended attributes

    def getxattr(self, request: bytes, name: bytes, *, follow: bool) -> bytes:
        found = self._context.existing(request, follow=follow)
        xattr.check_name(name, found.mode, request, write=False)
        if name in posixacl.NAMES and found.is_link:
            raise os_error(errno.EOPNOTSUPP, request)
        if name.startswith(b"user."):
            self._context.require(found, READ, request)
        value = xattr.all_xattrs(self._context.stack, found).get(name)
        if value is None:
            raise os_error(errno.ENODATA, request)
        return value

    def listxattr(self, request: bytes, *, follow: bool) -> list[bytes]:
        return list(xattr.all_xattrs(self._context.stack, self._context.existing(request, follow=follow)))

    def setxattr(self, request: bytes, name: bytes, value: bytes, flags: int, *, follow: bool) -> None:
        if name in posixacl.NAMES:
            self._set_acl(request, name, value, follow)
            return
        context = self._context
        with context.upper.locked():
            found = self._xattr_target(request, name, follow)
            present = name in xattr.all_xattrs(context.stack, found)
            if flags & XATTR_CREATE and present:
                raise os_error(errno.EEXIST, request)
            if flags & XATTR_REPLACE and not present:
                raise os_error(errno.ENODATA, request)
            if len(value) > xattr.VALUE_MAX_BYTES:
                raise os_error(errno.E2BIG, request)
            found = context.upper.make_writable(context.copy_up.ensure(found))
            record = xattr.store(context.upper.real(found.path), found.record, name, value, request)
            context.upper.change_record(found, record)
            context.upper.stamp(found.path)

    def removexattr(self, request: bytes, name: bytes, *, follow: bool) -> None:
        if name in posixacl.NAMES:
            self._set_acl(request, name, b"", follow)
            return
        context = self._context
        with context.upper.locked():
            found = self._xattr_target(request, name, follow)
            if name not in xattr.all_xattrs(context.stack, found):
                raise os_error(errno.ENODATA, request)
            found = context.upper.make_writable(context.copy_up.ensure(found))
            kept = tuple(item for item in found.record.xattrs if item[0] != name)
            context.upper.change_record(found, replace(found.record, xattrs=kept))
            context.upper.stamp(found.path)
            if name.startswith(b"user."):
                xattr.drop(context.upper.real(found.path), name)

    def _set_acl(self, request: bytes, name: bytes, value: bytes, follow: bool) -> None:
        """Set an ACL; without entries, remove it. Checks and errors in the kernel's order."""
        context = self._context
        with context.upper.locked():
            found = context.existing(request, follow=follow)
            acl = _parsed(value, request)
            if found.is_link:
                raise os_error(errno.EOPNOTSUPP, request)
            if name == posixacl.DEFAULT and not found.is_dir:
                if acl:
                    raise os_error(errno.EACCES, request)
                return
            context.require_owner(found, request)
            if acl and not posixacl.is_valid(acl):
                raise os_error(errno.EINVAL, request)
            if not acl and name not in xattr.all_xattrs(context.stack, found):
                return
            found = context.copy_up.ensure(found)
            mode = found.mode
            if acl and name == posixacl.ACCESS:
                mode = posixacl.mode_of(acl, mode)
                if not context.identity.is_root and not context.identity.is_member(context.attributes(found).gid):
                    mode &= ~stat.S_ISGID
                acl = () if posixacl.is_mode(acl) else acl
            kept = [item for item in found.record.xattrs if item[0] != name]
            if acl:
                kept.append((name, posixacl.pack(acl)))
            record = replace(found.record, xattrs=tuple(sorted(kept)))
            if len(record.format()) > RECORD_MAX_BYTES:
                raise os_error(errno.ENOSPC, request)
            self._set_mode(found, record, mode)
            context.upper.stamp(found.path)

    def _xattr_target(self, request: bytes, name: bytes, follow: bool) -> Found:
        context = self._context
        found = context.existing(request, follow=follow)
        xattr.check_name(name, found.mode, request, write=True)
        if name.startswith(b"user."):
            context.require(found, WRITE, request)
        elif not context.identity.is_root:
            raise os_error(errno.EPERM, request)
        return found

    # ----

    def _require_chown(self, found: Found, owner: int, uid: int, moves: bool, gid: int, request: bytes) -> None:
        identity = self._context.identity
        if identity.is_root:
            return
        if identity.uid != owner or uid != owner or (moves and not identity.is_member(gid)):
            raise os_error(errno.EPERM, request)

    def _set_mode(self, found: Found, record: Record, mode: int) -> None:
        assert found.real is not None  # it is in the upper
        upper = self._context.upper
        kind = stat.S_IFMT(found.real.st_mode)
        acl = access_acl(record.xattrs) if record.xattrs else None
        if acl is not None:
            changed = (posixacl.ACCESS, posixacl.pack(posixacl.with_mode(acl, mode)))
            others = [item for item in record.xattrs if item[0] != posixacl.ACCESS]
            record = replace(record, xattrs=tuple(sorted([*others, changed])))
        # The root shows the lower root's attributes as long as its record names no mode (`Lookup.root`).
        recorded = mode if found.parent is None else recorded_mode(mode, kind)
        upper.change_record(found, replace(record, mode=recorded))
        if kind != stat.S_IFLNK:
            os.chmod(upper.pinned(found.path), real_mode(mode))
        else:
            upper.stamp(found.path)


def _parsed(value: bytes, request: bytes) -> Acl:
    """Return the entries of an ACL's value. Raises EINVAL, EOPNOTSUPP."""
    try:
        return posixacl.parse(value) if value else ()
    except posixacl.UnknownAclVersion:
        raise os_error(errno.EOPNOTSUPP, request) from None
    except ValueError:
        raise os_error(errno.EINVAL, request) from None

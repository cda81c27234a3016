"""Making names: files, directories, devices, links.

Steps (docs/format.md §6); a crash after any of them leaves either the old state or the new:
 1. Copy-up of the parent.
 2. Bloom bits of the path and of its record.
 3. The record next to the name; or removal of one that a crash left behind.
 4. The object, by one system call that fails if the name exists. A file or directory with a record in it, and a
    directory that must hide a lower one, is made under a temporary name with its record and opaque mark, then renamed.
 5. The whiteout of the name is removed. (Ignored since step 4.)
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import TypeVar

from rootlay.store.model import posixacl
from rootlay.store.model.entry import Xattrs
from rootlay.store.model.value import replace
from rootlay.vfs.merge import xattr
from rootlay.vfs.merge.errors import os_error
from rootlay.vfs.merge.identity import EXECUTE, WRITE
from rootlay.vfs.merge.lookup import Found
from rootlay.vfs.merge.record import Record
from rootlay.vfs.merge.resolve import Place
from rootlay.vfs.merge.whiteout import is_reserved
from rootlay.vfs.overlay.context import Context
from rootlay.vfs.overlay.copyup import owner_record, stand_in_type
from rootlay.vfs.overlay.realmode import real_mode, recorded_mode
from rootlay.vfs.overlay.renameat import publish

T = TypeVar("T")


class Maker:
    """The operations of one stack that make names."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def mkdir(self, request: bytes, mode: int) -> None:
        with self._context.upper.locked():
            place = self._vacant(request, directory=True)
            mode = stat.S_IFDIR | (mode & 0o1777)
            self.publish(place, mode, self._make_directory)

    def mknod(self, request: bytes, mode: int, device: tuple[int, int]) -> None:
        kind = stat.S_IFMT(mode) or stat.S_IFREG
        if kind == stat.S_IFDIR:
            raise os_error(errno.EPERM, request)
        if kind not in (stat.S_IFREG, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK):
            raise os_error(errno.EINVAL, request)
        with self._context.upper.locked():
            place = self._vacant(request)
            if kind in (stat.S_IFCHR, stat.S_IFBLK) and not self._context.identity.is_root:
                raise os_error(errno.EPERM, request)
            self.publish(place, kind | stat.S_IMODE(mode), self._make_node, device)

    def symlink(self, target: bytes, request: bytes) -> None:
        if not target:
            raise os_error(errno.ENOENT, request)
        with self._context.upper.locked():
            place = self._vacant(request)
            self.publish(place, stat.S_IFLNK | 0o777, lambda path, _: os.symlink(target, self._real(path)))

    def link(self, old: bytes, new: bytes, *, follow: bool) -> None:
        """Run link(2). The new name gets the record of the old one, the object's inode number included."""
        context = self._context
        with context.upper.locked():
            source = context.existing(old, follow=follow)
            place = self._vacant(new)
            if source.is_dir:
                raise os_error(errno.EPERM, old, new)
            source = context.copy_up.ensure(source)
            assert source.real is not None  # it is in the upper
            parent = context.copy_up.ensure(place.directory)
            path = parent.path + b"/" + place.name
            if context.upper.holds(source.real.st_mode):
                context.upper.settle_record(source, path)
            else:
                context.upper.write_link(path, context.upper.link_record(source).record)
            context.upper.announce(path)
            os.link(self._real(source.path), self._real(path), follow_symlinks=False)
            context.upper.remove_whiteout(path)

    def create_file(self, place: Place, flags: int, mode: int) -> int:
        """Make a regular file and open it. Precondition: the name is free; the lock is held."""
        self.require_vacant(place)
        full = stat.S_IFREG | stat.S_IMODE(mode)
        return self.publish(place, full, lambda path, given: self._open_new(path, flags, given))

    def require_vacant(self, place: Place) -> None:
        """Raise EPERM for a reserved name, EACCES if the directory is not writable, EROFS."""
        if is_reserved(place.name):
            raise os_error(errno.EPERM, place.request)
        self._context.require(place.directory, WRITE | EXECUTE, place.request)

    def _vacant(self, request: bytes, *, directory: bool = False) -> Place:
        place = self._context.place(request, follow=False, slash_follows=False)
        if place.found is not None:
            raise os_error(errno.EEXIST, request)
        if place.slash and not directory:
            raise os_error(errno.ENOENT, request)
        self.require_vacant(place)
        return place

    def publish(
        self, place: Place, mode: int, make: Callable[[bytes, int], T], device: tuple[int, int] | None = None
    ) -> T:
        """Do steps 1 to 5 around `make(path, mode)`, which makes the real object and fails if it exists.

        `mode` is the program's, before the umask.
        """
        context, upper = self._context, self._context.upper
        parent = context.copy_up.ensure(place.directory)
        path = parent.path + b"/" + place.name
        record, mode = self._describe(parent, mode, device)
        opaque = stat.S_ISDIR(mode) and context.lookup.lower_child(place.directory, place.name) is not None
        upper.announce(path)
        if opaque or (record and upper.holds(stand_in_type(mode))):
            made = self._make_finished(parent.path, path, mode, record, opaque, make)
        else:
            upper.write_link(path, record)
            made = make(path, mode)
        upper.remove_whiteout(path)
        return made

    def _make_finished(
        self, directory: bytes, path: bytes, mode: int, record: Record, opaque: bool, make: Callable[[bytes, int], T]
    ) -> T:
        """Make an object under a temporary name, complete it, and give it its name."""
        upper = self._context.upper
        temporary = upper.temporary(directory, new=True)
        with upper.making(temporary):
            made = make(temporary, mode)
            try:
                if opaque:
                    upper.set_opaque(path, temporary)
                upper.prepare_record(temporary, path, record)
                publish(upper.real(temporary), upper.real(path))
            except BaseException:
                if isinstance(made, int):  # a descriptor
                    os.close(made)
                raise
        return made

    def _describe(self, parent: Found, mode: int, device: tuple[int, int] | None) -> tuple[Record, int]:
        """Return the record of a new object, and its mode, by the umask or the default ACL, and the set-group-id bit of
        its directory."""
        identity = self._context.identity
        mode, acls = self._inherit(parent, mode)
        shown = self._context.attributes(parent)
        gid = identity.gid
        if shown.mode & stat.S_ISGID:
            gid = shown.gid
            mode |= stat.S_ISGID if stat.S_ISDIR(mode) else 0
        kind = stand_in_type(mode)
        record = owner_record(self._context.stack, identity.uid, gid)
        stands_in = kind != stat.S_IFMT(mode)
        device = device if stands_in else None
        return replace(record, mode=recorded_mode(mode, kind), device=device, xattrs=acls), mode

    def _inherit(self, parent: Found, mode: int) -> tuple[int, Xattrs]:
        """Return the mode of a new object, and its ACLs."""
        if stat.S_ISLNK(mode):
            return mode, ()
        xattrs = xattr.all_xattrs(self._context.stack, parent) if parent.record.xattrs else {}
        default = posixacl.valid_of(xattrs.items(), posixacl.DEFAULT)
        if default is None:
            return mode & ~self._context.identity.umask, ()
        acl, mode = posixacl.inherit(default, mode)
        found = [] if posixacl.is_mode(acl) else [(posixacl.ACCESS, posixacl.pack(acl))]
        if stat.S_ISDIR(mode):
            found.append((posixacl.DEFAULT, posixacl.pack(default)))
        return mode, tuple(found)

    def _real(self, path: bytes) -> bytes:
        return self._context.upper.real(path)

    def _make_directory(self, path: bytes, mode: int) -> None:
        os.mkdir(self._real(path), 0o700)
        os.chmod(self._context.upper.pinned(path), real_mode(mode))

    def _make_node(self, path: bytes, mode: int) -> None:
        os.mknod(self._real(path), stand_in_type(mode) | 0o600)
        os.chmod(self._context.upper.pinned(path), real_mode(mode))

    def _open_new(self, path: bytes, flags: int, mode: int) -> int:
        descriptor = os.open(self._real(path), (flags & ~os.O_TRUNC) | os.O_CREAT | os.O_EXCL, 0o600)
        os.fchmod(descriptor, real_mode(mode))
        return descriptor

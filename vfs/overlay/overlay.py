"""The operations of a file system on a stack of layers: POSIX in, `OSError` out.

1. Each operation does what the kernel would do on a plain directory with the merged content, errno included.
2. Paths are virtual: `str` (surrogateescape), `bytes` or `ImagePath`. A relative one starts at the root.
3. Read-only layers never change. Every change goes to the upper, in the form of docs/format.md §6 and §7, so that
   several processes and the native engine can work on one container at the same time.
4. Lock order: the upper's lock, then nothing. Reading takes none.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO

from rootlay.store.model.closing import Closing
from rootlay.vfs.merge.attributes import Attributes
from rootlay.vfs.merge.bypass import bypasses_hooks
from rootlay.vfs.merge.content import copy_content, real_path
from rootlay.vfs.merge.errors import operation, os_error
from rootlay.vfs.merge.identity import WRITE, Identity
from rootlay.vfs.merge.listing import Listed, list_directory
from rootlay.vfs.merge.lookup import Found
from rootlay.vfs.merge.lookupcache import LookupCache
from rootlay.vfs.merge.path import ImagePath, PathArgument, raw_path
from rootlay.vfs.merge.stack import Stack
from rootlay.vfs.overlay.context import Context
from rootlay.vfs.overlay.make import Maker
from rootlay.vfs.overlay.open import Opener
from rootlay.vfs.overlay.remove import Remover
from rootlay.vfs.overlay.rename import Renamer
from rootlay.vfs.overlay.setattr import Changer
from rootlay.vfs.overlay.upper import Upper

ROOT = Identity()


@bypasses_hooks
class Overlay(Closing):
    """A merged file system. Close it, or use it in a `with` block. Safe for threads.

    Without a writable layer every change raises EROFS.
    """

    def __init__(
        self, stack: Stack, identity: Identity = ROOT, *, upper: Upper | None = None, owned: bool = False
    ) -> None:
        """Open a stack.

        Args:
            identity: the acting user; user 0 passes every permission check.
            upper: share an open writable layer (`as_identity`).
            owned: the stack's view and hydrator are closed with this.

        Raises:
            OSError: a layer or the Bloom filter cannot be opened.
        """
        self.identity = identity
        self._owned = owned
        self.closed = False
        self.keeps: object = None  # must not be collected while this object exists
        self._bind(stack, upper)

    def _bind(self, stack: Stack, upper: Upper | None) -> None:
        self.stack = stack
        self._owns_upper = upper is None and stack.writable
        self._upper = Upper(stack) if self._owns_upper else upper
        self.context = Context(stack, self.identity, self._upper)
        self._maker = Maker(self.context)
        self._remover = Remover(self.context)
        self._renamer = Renamer(self.context, self._maker, self._remover)
        self._changer = Changer(self.context)
        self._opener = Opener(self.context, self._maker)
        bloom = self._upper.bloom if self._upper is not None else None
        self.remembered = LookupCache(stack, self.context.lookup, bloom)
        if not self.identity.is_root:  # each directory on the way needs a permission check
            self.remembered.forget()

    def as_identity(self, identity: Identity) -> Overlay:
        """Return the same file system as another user sees it. Valid until this one is closed."""
        made = Overlay(self.stack, identity, upper=self._upper)
        made.keeps = self
        return made

    def rebind(self, stack: Stack) -> None:
        """Show another stack from now on (after a snapshot or rollback). Open descriptors stay unchanged.

        Precondition: no operation is running, and `as_identity` views of this one are not used any more.
        """
        before, owned = self._upper, self._owns_upper
        self._bind(stack, None)
        if owned and before is not None:
            before.close()

    def close(self) -> None:
        """Release the upper. Open descriptors stay valid. Idempotent."""
        self.closed = True
        self.remembered.forget()
        if self._owns_upper and self._upper is not None:
            self._upper.close()
        if self._owned:
            for part in (self.stack.hydrator, self.stack.view):
                if part is not None:
                    part.close()

    # ---- looking up

    @operation()
    def find(self, path: PathArgument, *, follow: bool = True) -> Found | None:
        """Return the object at a path, None if its last component does not exist."""
        return self.context.place(raw_path(path), follow=follow).found

    @operation()
    def get(self, path: PathArgument, *, follow: bool = True) -> Found:
        """Return the object at a path."""
        return self.context.existing(raw_path(path), follow=follow)

    @operation()
    def look(self, path: str) -> Found:
        """Return the object at a path, itself a link or not; cached if possible, for read-only callers."""
        beginning = self.remembered.begin()
        found = self.context.existing(raw_path(path), follow=False)
        if beginning is not None:
            self.remembered.add(beginning, path, found)
        return found

    @operation()
    def resolve(self, path: PathArgument) -> ImagePath:
        """Return the canonical path of an existing object: no links, no `..`."""
        return ImagePath(self.context.existing(raw_path(path), follow=True).path or b"/")

    @operation()
    def stat(self, path: PathArgument, *, follow: bool = True) -> Attributes:
        """Return the attributes; those of a link itself with `follow=False`."""
        return self.context.attributes(self.context.existing(raw_path(path), follow=follow))

    def lstat(self, path: PathArgument) -> Attributes:
        """Return the attributes, those of a link itself."""
        return self.stat(path, follow=False)

    @operation()
    def access(self, path: PathArgument, mask: int) -> bool:
        """Return whether the identity may READ, WRITE, EXECUTE (4, 2, 1) an object, access(2).

        Raises ENOENT, and EROFS for the question about writing without an upper.
        """
        attributes = self.stat(path)
        if mask & WRITE and not self.stack.writable and stat.S_IFMT(attributes.mode) in (stat.S_IFREG, stat.S_IFDIR):
            raise os_error(errno.EROFS, raw_path(path))
        return self.identity.may(attributes, mask)

    @operation()
    def readlink(self, path: PathArgument) -> bytes:
        """Return the text of a symbolic link. Raises EINVAL for any other object."""
        found = self.context.existing(raw_path(path), follow=False)
        if not found.is_link:
            raise os_error(errno.EINVAL, raw_path(path))
        return self.context.resolver.target(found)

    @operation()
    def scandir(self, path: PathArgument = "/") -> list[Listed]:
        """Return names and types, sorted by bytes."""
        return list_directory(self.context.lookup, self._readable_directory(raw_path(path)))

    @operation()
    def directory(self, path: PathArgument) -> Found:
        """Return a directory that the identity may list. Raises ENOTDIR for any other object."""
        return self._readable_directory(raw_path(path))

    def _readable_directory(self, request: bytes) -> Found:
        found = self.context.place(request + b"/" if request else request, follow=True).existing()
        self.context.require(found, 4, request)
        return found

    @operation(0)
    def list_found(self, directory: Found) -> list[Listed]:
        """Return names and types of a directory that was just looked up, sorted by bytes."""
        return list_directory(self.context.lookup, directory)

    @operation(0)
    def child(self, directory: Found, name: bytes) -> Found | None:
        """Return the object of a listed name in a directory, without following it; None if it was removed."""
        return self.context.lookup.child(directory, name)

    def listdir(self, path: PathArgument = "/") -> list[bytes]:
        """Return names, sorted by bytes."""
        return [listed.name for listed in self.scandir(path)]

    # ---- content

    @operation()
    def open(self, path: PathArgument, flags: int = os.O_RDONLY, mode: int = 0o666) -> int:
        """Open an object, open(2): a real descriptor, not inheritable. A lower file is hydrated or copied up."""
        return self._opener.open(raw_path(path), flags, mode)

    @operation()
    def open_content(self, path: PathArgument) -> BinaryIO:
        """Open a seekable stream of a regular file's bytes, without hydrating it. The caller closes it."""
        return self._opener.open_content(raw_path(path))

    @operation(0)
    def open_found(self, found: Found) -> BinaryIO:
        """Open a stream as `open_content`, for an object that was just looked up."""
        return self._opener.open_found(found, found.path)

    @operation()
    def copy_content(self, path: PathArgument, target: int, *, follow: bool = True) -> None:
        """Write a regular file's bytes to an empty file, open for writing; holes stay holes. Hydrates nothing."""
        copy_content(self.stack, self.context.existing(raw_path(path), follow=follow), target)

    @operation()
    def real_path(self, path: PathArgument) -> bytes:
        """Return a host path that holds the object's content. Hydrates. For reading only. May exceed PATH_MAX."""
        found = self.context.existing(raw_path(path), follow=True)
        if not found.parts:
            return real_path(self.stack, found)
        part = found.parts[0]
        return self.stack.dirs[part.layer].path + part.path or b"/"

    # ---- making

    @operation()
    def mkdir(self, path: PathArgument, mode: int = 0o777) -> None:
        """Make a directory, mkdir(2)."""
        self._maker.mkdir(raw_path(path), mode)

    @operation()
    def mknod(self, path: PathArgument, mode: int, device: tuple[int, int] = (0, 0)) -> None:
        """Make a node, mknod(2). FIFOs and sockets are real; devices are recorded and cannot be opened."""
        self._maker.mknod(raw_path(path), mode, device)

    @operation(2)
    def symlink(self, target: PathArgument, path: PathArgument) -> None:
        """Make `path` a link with the text `target`, symlink(2)."""
        self._maker.symlink(raw_path(target), raw_path(path))

    @operation(2)
    def link(self, old: PathArgument, new: PathArgument, *, follow: bool = False) -> None:
        """Make a hard link, link(2)."""
        self._maker.link(raw_path(old), raw_path(new), follow=follow)

    # ---- removing and renaming

    @operation()
    def unlink(self, path: PathArgument) -> None:
        """Remove a name, unlink(2)."""
        self._remover.unlink(raw_path(path))

    @operation()
    def rmdir(self, path: PathArgument) -> None:
        """Remove an empty directory, rmdir(2)."""
        self._remover.rmdir(raw_path(path))

    @operation(2)
    def rename(self, old: PathArgument, new: PathArgument, flags: int = 0) -> None:
        """Rename an object, renameat2(2). Flags: RENAME_NOREPLACE 1, RENAME_EXCHANGE 2."""
        self._renamer.rename(raw_path(old), raw_path(new), flags)

    # ---- attributes

    @operation()
    def chmod(self, path: PathArgument, mode: int, *, follow: bool = True) -> None:
        """Change a mode, chmod(2)."""
        self._changer.chmod(raw_path(path), mode, follow=follow)

    @operation()
    def chown(self, path: PathArgument, uid: int, gid: int, *, follow: bool = True) -> None:
        """Change an owner, chown(2); -1 leaves one unchanged. Recorded, whichever user runs this."""
        self._changer.chown(raw_path(path), uid, gid, follow=follow)

    @operation()
    def utimens(
        self, path: PathArgument, times: tuple[int | None, int | None] | None = None, *, follow: bool = True
    ) -> None:
        """Set times, utimensat(2): (access, modification) in ns; None for one leaves it unchanged; no times: now."""
        self._changer.utimens(raw_path(path), times, follow=follow)

    @operation()
    def truncate(self, path: PathArgument, size: int) -> None:
        """Change a size, truncate(2)."""
        self._changer.truncate(raw_path(path), size)

    @operation()
    def getxattr(self, path: PathArgument, name: bytes, *, follow: bool = True) -> bytes:
        """Return an attribute, getxattr(2). Raises ENODATA."""
        return self._changer.getxattr(raw_path(path), name, follow=follow)

    @operation()
    def listxattr(self, path: PathArgument, *, follow: bool = True) -> list[bytes]:
        """Return the names of attributes, listxattr(2), sorted."""
        return self._changer.listxattr(raw_path(path), follow=follow)

    @operation()
    def setxattr(self, path: PathArgument, name: bytes, value: bytes, flags: int = 0, *, follow: bool = True) -> None:
        """Set an attribute, setxattr(2). Flags: XATTR_CREATE 1, XATTR_REPLACE 2."""
        self._changer.setxattr(raw_path(path), name, value, flags, follow=follow)

    @operation()
    def removexattr(self, path: PathArgument, name: bytes, *, follow: bool = True) -> None:
        """Remove an attribute, removexattr(2). Raises ENODATA."""
        self._changer.removexattr(raw_path(path), name, follow=follow)

    @operation(0)
    def adopt_root(self) -> None:
        """Give the root of a new, empty upper the mode, owner, times and xattrs of the lower root. Idempotent.

        For the code that makes a container. Without it the root shows the attributes of the upper's directory.
        """
        with self.context.upper.locked():
            self.context.copy_up.adopt_root()

    @operation()
    def copy_up(self, path: PathArgument) -> bytes:
        """Copy an object up. Idempotent. Returns its real path."""
        with self.context.upper.locked():
            found = self.context.copy_up.ensure(self.context.existing(raw_path(path), follow=True))
            return self.stack.upper.path + found.path

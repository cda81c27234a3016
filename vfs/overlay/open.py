"""open(2): from a virtual path to a real descriptor.

The descriptor is the kernel's own: reads, writes and locks are as fast as on a plain file. A file of the lower layers
is copied up when it is opened for writing, and hydrated when it is opened for reading.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO

from rootlay.vfs.merge.content import open_content, real_path
from rootlay.vfs.merge.errors import os_error
from rootlay.vfs.merge.identity import READ, WRITE
from rootlay.vfs.merge.lookup import Found
from rootlay.vfs.merge.resolve import Place
from rootlay.vfs.overlay.context import Context
from rootlay.vfs.overlay.copyup import stand_in_type
from rootlay.vfs.overlay.make import Maker

_MASKS = {os.O_RDONLY: READ, os.O_WRONLY: WRITE, os.O_RDWR: READ | WRITE}
_SPENT = os.O_CREAT | os.O_EXCL | os.O_TRUNC


class Opener:
    """The operations of one stack that open objects."""

    def __init__(self, context: Context, maker: Maker) -> None:
        self._context = context
        self._maker = maker

    def open(self, request: bytes, flags: int, mode: int) -> int:
        """Open an object. Return a descriptor, not inheritable (as `os.open`)."""
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            return self._open_unnamed(request, flags, mode)
        if flags & (os.O_CREAT | os.O_DIRECTORY | os.O_PATH) == os.O_CREAT | os.O_DIRECTORY:
            raise os_error(errno.EINVAL, request)  # as Linux since 6.4; the core does so, too
        changes = flags & (os.O_CREAT | os.O_TRUNC) or flags & os.O_ACCMODE != os.O_RDONLY
        if flags & os.O_PATH:
            changes, flags = 0, flags & (os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
        if not changes:
            found = self._checked(self._place(request, flags), flags)
            return self._open_real(found, flags)
        # Without an upper the look-up still decides the error.
        if not self._context.stack.writable:
            found = self._refuse(self._place(request, flags), flags)
            return self._open_real(found, flags & ~_SPENT)
        with self._context.upper.locked():
            place = self._place(request, flags)
            if flags & os.O_CREAT and place.found is None and not place.slash:
                try:
                    return self._maker.create_file(place, flags, mode)
                except FileExistsError:
                    if flags & os.O_EXCL:
                        raise
                # Another process, without the lock, was faster: its file serves as well.
                place = self._place(request, flags)
            found = self._checked(place, flags)
            if flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_TRUNC:
                found = self._context.copy_up.ensure(found, limit=0 if flags & os.O_TRUNC else None)
                self._context.upper.make_writable(found)
        # Outside the lock: the open of a FIFO waits for its other end.
        return self._open_real(found, (flags & ~_SPENT) | (flags & os.O_TRUNC))

    def _open_real(self, found: Found, flags: int) -> int:
        """Open the object that was found. If another process changed the directory, an open of a FIFO in its place
        would wait: so the object is held by a descriptor, and checked, before it is opened.

        Raises:
            OSError: ESTALE if it is of another type now.
        """
        path = real_path(self._context.stack, found)
        if flags & os.O_PATH or not found.parts:
            return os.open(path, flags | os.O_NOFOLLOW)
        held = os.open(path, os.O_PATH | os.O_NOFOLLOW)
        try:
            if stat.S_IFMT(os.fstat(held).st_mode) != stat.S_IFMT(found.mode):
                raise os_error(errno.ESTALE, found.path)
            return os.open(b"/proc/self/fd/%d" % held, flags & ~os.O_NOFOLLOW)
        finally:
            os.close(held)

    def open_content(self, request: bytes) -> BinaryIO:
        """Open a stream of a regular file's bytes without hydrating it."""
        return self.open_found(self._checked(self._place(request, os.O_RDONLY), os.O_RDONLY), request)

    def open_found(self, found: Found, request: bytes) -> BinaryIO:
        """Open a stream as `open_content`, for an object that was looked up."""
        if found.is_dir:
            raise os_error(errno.EISDIR, request)
        if not found.is_file:
            raise os_error(errno.ENXIO, request)
        return open_content(self._context.stack, found)

    def _place(self, request: bytes, flags: int) -> Place:
        follow = not flags & os.O_NOFOLLOW and flags & (os.O_CREAT | os.O_EXCL) != os.O_CREAT | os.O_EXCL
        # With O_CREAT, a slash at the end is refused before the look-up of the name.
        refused = bool(flags & os.O_CREAT) and request.endswith(b"/")
        return self._context.place(request, follow=follow and not refused, slash_follows=not refused)

    def _checked(self, place: Place, flags: int) -> Found:
        request = place.request
        if flags & os.O_CREAT:
            if place.slash and place.last == "name":
                raise os_error(errno.EISDIR, request)
            if flags & os.O_EXCL and place.found is not None:
                raise os_error(errno.EEXIST, request)
            if place.found is not None and place.found.is_dir:
                raise os_error(errno.EISDIR, request)
        found = place.existing()
        if flags & os.O_PATH:
            return self._directory_if_asked(found, flags, request)
        if found.is_link:
            raise os_error(errno.ENOTDIR if flags & os.O_DIRECTORY else errno.ELOOP, request)
        self._directory_if_asked(found, flags, request)
        mask = _MASKS.get(flags & os.O_ACCMODE, READ | WRITE) | (WRITE if flags & os.O_TRUNC else 0)
        if found.is_dir and mask & WRITE:
            raise os_error(errno.EISDIR, request)
        self._context.require(found, mask, request)
        self._require_openable(found, request)
        return found

    @staticmethod
    def _directory_if_asked(found: Found, flags: int, request: bytes) -> Found:
        if flags & os.O_DIRECTORY and not found.is_dir:
            raise os_error(errno.ENOTDIR, request)
        return found

    @staticmethod
    def _require_openable(found: Found, request: bytes) -> None:
        if stat.S_ISSOCK(found.mode):
            raise os_error(errno.ENXIO, request)
        stands_in = stand_in_type(found.mode) != stat.S_IFMT(found.mode)
        if stands_in and (found.real is None or stat.S_ISREG(found.real.st_mode)):
            raise os_error(errno.ENXIO, request)  # a device of the image: there is no real device for it

    def _refuse(self, place: Place, flags: int) -> Found:
        """Handle an open that may change something, without an upper. Return what is allowed, else raise EROFS."""
        if flags & os.O_CREAT and place.found is None and not place.slash:
            raise os_error(errno.EROFS, place.request)
        found = self._checked(place, flags)
        if found.is_file and (flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_TRUNC):
            raise os_error(errno.EROFS, place.request)
        return found

    def _open_unnamed(self, request: bytes, flags: int, mode: int) -> int:
        """Open a file without a name (O_TMPFILE) in the directory's real counterpart."""
        if flags & os.O_ACCMODE == os.O_RDONLY:
            raise os_error(errno.EINVAL, request)
        with self._context.upper.locked():
            found = self._context.existing(request, follow=True)
            if not found.is_dir:
                raise os_error(errno.ENOTDIR, request)
            self._context.require(found, WRITE, request)
            real = self._context.upper.pinned(self._context.copy_up.ensure(found).path)
            return os.open(real, flags, (mode & ~self._context.identity.umask) | 0o600)

"""Removal of names.

Steps (docs/format.md §6); a crash after any of them leaves either the old state or the new:
 1. Copy-up of the parent, if a whiteout is needed.
 2. A whiteout, if the layers below have the name. (Ignored while the object exists.)
 3. The object is removed: unlink(2), or rename(2) of a directory to a temporary name, which is then deleted.
 4. The record is removed.
"""

from __future__ import annotations

import errno
import os

from rootlay.vfs.merge.errors import os_error
from rootlay.vfs.merge.listing import list_directory
from rootlay.vfs.merge.lookup import Found
from rootlay.vfs.merge.record import NO_RECORD
from rootlay.vfs.merge.resolve import Last
from rootlay.vfs.overlay.context import Context

_RMDIR_LAST: dict[Last, int] = {"dot": errno.EINVAL, "dotdot": errno.ENOTEMPTY, "root": errno.EBUSY}


class Remover:
    """The operations of one stack that remove names."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def unlink(self, request: bytes) -> None:
        context = self._context
        with context.upper.locked():
            place = context.place(request, follow=False, slash_follows=False)
            if place.last != "name":
                raise os_error(errno.EISDIR, request)
            if place.found is None:
                raise os_error(errno.ENOENT, request)
            if place.slash and not place.found.is_dir:
                raise os_error(errno.ENOTDIR, request)
            context.require_removal(place.directory, place.found, request)
            if place.found.is_dir:
                raise os_error(errno.EISDIR, request)
            self.hide_lower(place.found)
            if place.found.is_in(0):
                os.unlink(context.upper.real(place.found.path))
                context.upper.forget_record(place.found)

    def rmdir(self, request: bytes) -> None:
        context = self._context
        with context.upper.locked():
            place = context.place(request, follow=False, slash_follows=False)
            if place.last != "name":
                raise os_error(_RMDIR_LAST[place.last], request)
            if place.found is None:
                raise os_error(errno.ENOENT, request)
            context.require_removal(place.directory, place.found, request)
            if not place.found.is_dir:
                raise os_error(errno.ENOTDIR, request)
            self.require_empty(place.found, request)
            self.hide_lower(place.found)
            if place.found.is_in(0):
                context.upper.discard_directory(place.found.path)
                context.upper.write_link(place.found.path, NO_RECORD)

    def require_empty(self, found: Found, request: bytes) -> None:
        """Raise ENOTEMPTY if the merged directory shows a name."""
        if list_directory(self._context.lookup, found):
            raise os_error(errno.ENOTEMPTY, request)

    def hide_lower(self, found: Found) -> None:
        """Make a whiteout for an object if its removal would uncover something."""
        assert found.parent is not None  # the root cannot be removed
        if self._context.lookup.lower_child(found.parent, found.name) is not None:
            self._context.copy_up.ensure(found.parent)
            self._context.upper.add_whiteout(found.path)

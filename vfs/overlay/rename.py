"""rename(2) and renameat2(2): no EXDEV, no copying of lower directories.

Steps of a rename. The object moves by one rename(2), so a crash leaves the state before or after it:
 1. Copy-up of the object (a directory: of itself alone) and of the new parent.
 2. Bloom bits of the new path, and of everything under it.
 3. An opaque mark in a directory without a lower part, if the new name has one.
 4. An empty directory in the way is whited out if the layers below have the name, and removed.
 5. A whiteout at the old name, if the layers below have it. (Ignored while the object is there.)
 6. For a directory with a lower part, the field `r=` of its record: the path of that part. (It means nothing new at the
    old name.)
 7. The record next to the new name, if the object does not hold it itself.
 8. rename(2).
 9. The record next to the old name and the whiteout at the new one are removed. (Both void since step 8.) Between 7 and
    8 a file that is being replaced already shows the owner and mode of its successor.

An exchange makes the opaque marks and whiteouts first, which changes nothing that shows, then exchanges the objects,
then the records next to them. A crash between the last two leaves each name with the record of the other: there is no
call that exchanges two pairs at once.
"""

from __future__ import annotations

import errno
import os

from rootlay.store.model.value import replace
from rootlay.vfs.merge.bloom import RECORD as RECORD_KIND
from rootlay.vfs.merge.errors import os_error
from rootlay.vfs.merge.lookup import Found
from rootlay.vfs.merge.record import NO_RECORD, Record
from rootlay.vfs.merge.resolve import Place
from rootlay.vfs.overlay.context import Context
from rootlay.vfs.overlay.make import Maker
from rootlay.vfs.overlay.remove import Remover
from rootlay.vfs.overlay.renameat import RENAME_EXCHANGE, RENAME_NOREPLACE, renameat2


class Renamer:
    """The rename operations of one stack."""

    def __init__(self, context: Context, maker: Maker, remover: Remover) -> None:
        self._context = context
        self._maker = maker
        self._remover = remover

    def rename(self, old: bytes, new: bytes, flags: int = 0) -> None:
        if flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE) or flags == RENAME_NOREPLACE | RENAME_EXCHANGE:
            raise os_error(errno.EINVAL, old, new)
        context = self._context
        with context.upper.locked():
            source = context.place(old, follow=False, slash_follows=False)
            target = context.place(new, follow=False, slash_follows=False)
            moved = self._check_places(source, target, flags)
            if target.found is not None and _is_same(moved, target.found):
                return
            self._check_permissions(source, moved, target, flags)
            if flags & RENAME_EXCHANGE and target.found is not None:
                self._exchange(moved, target.found)
                return
            self._check_types(moved, target)
            self._move(moved, target)

    # ---- checks, in the kernel's order (do_renameat2, vfs_rename)

    def _check_places(self, source: Place, target: Place, flags: int) -> Found:
        names = (source.request, target.request)
        if source.last != "name":
            raise os_error(errno.EBUSY, *names)
        if target.last != "name":
            raise os_error(errno.EEXIST if flags & RENAME_NOREPLACE else errno.EBUSY, *names)
        if source.found is None:
            raise os_error(errno.ENOENT, *names)
        if flags & RENAME_NOREPLACE and target.found is not None:
            raise os_error(errno.EEXIST, *names)
        if flags & RENAME_EXCHANGE and target.found is None:
            raise os_error(errno.ENOENT, *names)
        if flags & RENAME_EXCHANGE and target.found and not target.found.is_dir and target.slash:
            raise os_error(errno.ENOTDIR, *names)
        if not source.found.is_dir and (source.slash or (target.slash and not flags & RENAME_EXCHANGE)):
            raise os_error(errno.ENOTDIR, *names)
        if _is_within(target.directory, source.found):
            raise os_error(errno.EINVAL, *names)
        if target.found is not None and _is_within(source.directory, target.found):
            raise os_error(errno.EINVAL if flags & RENAME_EXCHANGE else errno.ENOTEMPTY, *names)
        return source.found

    def _check_permissions(self, source: Place, moved: Found, target: Place, flags: int) -> None:
        context = self._context
        context.require_removal(source.directory, moved, source.request)
        if target.found is None:
            self._maker.require_vacant(target)
        else:
            context.require_removal(target.directory, target.found, target.request)
        if source.directory.path != target.directory.path:
            for found in (moved, target.found if flags & RENAME_EXCHANGE else None):
                if found is not None and found.is_dir:
                    context.require(found, 2, source.request)

    def _check_types(self, moved: Found, target: Place) -> None:
        if target.found is None:
            return
        if moved.is_dir and not target.found.is_dir:
            raise os_error(errno.ENOTDIR, target.request)
        if target.found.is_dir and not moved.is_dir:
            raise os_error(errno.EISDIR, target.request)
        if target.found.is_dir:
            self._remover.require_empty(target.found, target.request)

    # ---- work

    def _move(self, moved: Found, target: Place) -> None:
        context, upper = self._context, self._context.upper
        moved = context.copy_up.ensure(moved)
        parent = context.copy_up.ensure(target.directory)
        path = parent.path + b"/" + target.name
        uncovered = context.lookup.lower_child(parent, target.name) is not None
        record = self._settle(moved, parent, target.name, path) if moved.is_dir else moved.record
        if target.found is not None and target.found.is_dir and target.found.is_in(0):
            if uncovered:
                upper.add_whiteout(path)
            upper.discard_directory(path)
        upper.announce(path)
        self._remover.hide_lower(moved)
        beside = self._ready(moved, record, path)
        upper.write_link(path, beside)
        os.rename(upper.real(moved.path), upper.real(path))
        self._announce_late(moved, path)
        upper.write_link(moved.path, NO_RECORD)
        self._ended(moved, record, path)
        if target.found is not None and not target.found.is_dir:
            upper.forget_linked(target.found)
        upper.remove_whiteout(path)

    def _settle(self, moved: Found, parent: Found, name: bytes, path: bytes) -> Record:
        """Make a directory of the upper fit for another path. Return the record that it needs there."""
        context, upper = self._context, self._context.upper
        lower = context.lookup.lower(moved)
        there = context.lookup.lower_child(parent, name)
        upper.announce_tree(moved.path, path)
        if not lower.parts and lower.node is None:
            if there is not None and there.is_dir:
                with upper.keeping_times(moved.path):
                    upper.set_opaque(path, moved.path)
            return replace(moved.record, redirect=None)
        natural = None if parent.below is None else parent.below + b"/" + name
        return replace(moved.record, redirect=None if moved.below == natural else moved.below)

    def _exchange(self, one: Found, other: Found) -> None:
        context, upper = self._context, self._context.upper
        one, other = context.copy_up.ensure(one), context.copy_up.ensure(other)
        records = (self._record_for(one, other), self._record_for(other, one))
        for found in (one, other):
            self._remover.hide_lower(found)
        beside = (self._ready(one, records[0], other.path), self._ready(other, records[1], one.path))
        renameat2(upper.real(one.path), upper.real(other.path), RENAME_EXCHANGE)
        self._announce_late(one, other.path)
        self._announce_late(other, one.path)
        upper.write_link(other.path, beside[0])
        upper.write_link(one.path, beside[1])
        self._ended(one, records[0], other.path)
        self._ended(other, records[1], one.path)

    def _ready(self, moved: Found, record: Record, path: bytes) -> Record:
        """Prepare an object for another path, where it needs `record`. Return the record to write next to that name.

        A redirect that is added means nothing new at the old path.
        """
        upper = self._context.upper
        assert moved.real is not None  # it is in the upper
        if not upper.holds(moved.real.st_mode):
            return record
        before = record if record.redirect is not None else moved.record
        if before or record:
            upper.announce(path, RECORD_KIND)
            upper.write_record(moved.path, before)
        return NO_RECORD

    def _ended(self, moved: Found, record: Record, path: bytes) -> None:
        """Remove the redirect that an object does not need at the path that it has now."""
        upper = self._context.upper
        assert moved.real is not None  # it is in the upper
        if moved.record.redirect is not None and record.redirect is None and upper.holds(moved.real.st_mode):
            upper.write_record(path, record)

    def _announce_late(self, moved: Found, path: bytes) -> None:
        """Set the bits again: a program makes files without the lock, and may have made one since the bits were set."""
        if moved.is_dir:
            self._context.upper.announce_tree(path, path)

    def _record_for(self, moved: Found, place: Found) -> Record:
        if not moved.is_dir:
            return moved.record
        assert place.parent is not None  # the root cannot be exchanged
        return self._settle(moved, place.parent, place.name, place.path)


def _is_within(directory: Found, ancestor: Found) -> bool:
    """Return whether a directory is an object, or is below it."""
    return directory.path == ancestor.path or directory.path.startswith(ancestor.path + b"/")


def _is_same(one: Found, other: Found) -> bool:
    """Return whether two names are hard links of one file (then rename does nothing, as in POSIX)."""
    if one.path == other.path:
        return True
    if one.is_dir or other.is_dir:
        return False
    if one.real is not None and other.real is not None:
        same = (one.real.st_dev, one.real.st_ino) == (other.real.st_dev, other.real.st_ino)
        return same and one.parts[0].layer == other.parts[0].layer
    return one.node is not None and other.node is not None and one.node.ino == other.node.ino

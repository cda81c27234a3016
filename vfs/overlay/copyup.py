"""Copy-up: the upper gets its own copy of a lower object before the first change.

Steps for one object (docs/format.md §6, §7); a crash after any of them leaves the merged tree as it was:
 1. The parents, from the root down, the same way.
 2. A temporary next to the final name: content (holes kept), `user.*` xattrs, mode, times.
 3. Bloom bits of the name, and of its record.
 4. The record: owner, mode, device, inode number, xattrs that cannot be real. It is in the temporary, or next to the
    final name, where nothing reads it yet: a lower object has no upper record.
 5. The temporary becomes the name: by link(2) for a file (EEXIST: another process won, and its copy serves),
    by rename(2) for a directory.
 6. The parent's times are restored: programs see no change.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from rootlay.store.model.value import replace
from rootlay.vfs.merge import longpath, xattr
from rootlay.vfs.merge.attributes import Attributes, attributes
from rootlay.vfs.merge.content import copy_content, real_path
from rootlay.vfs.merge.lookup import Found, Lookup
from rootlay.vfs.merge.record import Record
from rootlay.vfs.merge.stack import Stack
from rootlay.vfs.overlay.realmode import real_mode, recorded_mode
from rootlay.vfs.overlay.upper import Upper


def owner_record(stack: Stack, uid: int, gid: int) -> Record:
    """Return a record of an owner, empty for the default owner of the upper."""
    default = stack.ownership.default(stack.upper)
    return Record(uid=None if uid == default[0] else uid, gid=None if gid == default[1] else gid)


def stand_in_type(mode: int) -> int:
    """Return the type of the real file for an object: an empty file for types that an ordinary user cannot make."""
    return stat.S_IFREG if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else stat.S_IFMT(mode)


class CopyUp:
    """The copy-up of one stack's objects to its upper. Precondition of every method: the upper's lock is held."""

    def __init__(self, lookup: Lookup, upper: Upper) -> None:
        self._lookup = lookup
        self._stack = lookup.stack
        self._upper = upper

    def ensure(self, found: Found, limit: int | None = None) -> Found:
        """Return the object in the upper. Copy it there unless it is there already.

        Args:
            limit: number of bytes of a regular file to copy (truncation follows).

        Raises:
            OSError: ENOSPC, EDQUOT, EACCES (a lower file that the host user cannot read), EIO.
        """
        missing = [found]  # from the object up to one in the upper: the root always is
        while not missing[-1].is_in(0):
            assert missing[-1].parent is not None  # only the root has no parent
            missing.append(missing[-1].parent)
        here = missing.pop()
        while missing:
            with longpath.operation():
                here = self._bring(here, missing.pop(), limit)
        return here

    def _bring(self, parent: Found, found: Found, limit: int | None) -> Found:
        """Copy an object up whose parent is in the upper."""
        # Another copy-up of the same operation may have copied it since the look-up.
        again = self._lookup.child(parent, found.name)
        if again is not None and again.is_in(0):
            return again
        if found.is_dir:
            self._copy_directory(parent, found)
        else:
            self._copy_object(parent, found, limit)
        copied = self._lookup.child(parent, found.name)
        assert copied is not None  # made above, and the lock is held
        return copied

    def adopt_root(self) -> None:
        """Give a new upper's root the mode, owner, times and xattrs of the lower root. Idempotent."""
        root = self._lookup.lower(self._lookup.root())
        if root.parts:
            root = self._lookup.root(root.parts[0].layer)
        if not root.parts and root.node is None:
            return
        record = replace(self._dress(b"", root, attributes(self._stack, 0, root)), ino=None)
        self._upper.write_record(b"", record)
        shown = attributes(self._stack, 0, root)
        os.utime(self._upper.pinned(b""), ns=(shown.atime_ns, shown.mtime_ns))

    def _copy_directory(self, parent: Found, found: Found) -> None:
        shown = attributes(self._stack, 0, found)
        temporary = self._upper.temporary(parent.path)
        with self._upper.keeping_times(parent.path), self._upper.making(temporary):
            os.mkdir(self._upper.real(temporary), 0o700)
            # A merge shows the lower directory's inode number: no `i=`.
            record = replace(self._dress(temporary, found, shown), ino=None)
            self._upper.announce(found.path)
            self._upper.prepare_record(temporary, found.path, record)
            os.rename(self._upper.real(temporary), self._upper.real(found.path))

    def _copy_object(self, parent: Found, found: Found, limit: int | None) -> None:
        shown = attributes(self._stack, 0, found)
        temporary = self._upper.temporary(parent.path)
        with self._upper.keeping_times(parent.path), self._upper.making(temporary):
            self._make(temporary, found, limit)
            record = self._dress(temporary, found, shown)
            self._upper.announce(found.path)
            self._upper.prepare_record(temporary, found.path, record)
            self._publish(temporary, found.path)

    def _make(self, temporary: bytes, found: Found, limit: int | None) -> None:
        real = self._upper.real(temporary)
        kind = stand_in_type(found.mode)
        if kind == stat.S_IFLNK:
            os.symlink(found.node.link if found.node is not None else os.readlink(real_path(self._stack, found)), real)
        elif kind != stat.S_IFREG:
            os.mknod(real, kind | 0o600)
        else:
            descriptor = os.open(real, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                if found.is_file:
                    copy_content(self._stack, found, descriptor, limit)
            finally:
                os.close(descriptor)

    def _dress(self, temporary: bytes, found: Found, shown: Attributes) -> Record:
        """Set the mode, times and xattrs of the original on a real copy. Return the rest, which must be recorded."""
        real = self._upper.real(temporary)
        kind = stand_in_type(shown.mode)
        alone = shown.nlink <= 1 or shown.is_dir
        record = replace(
            owner_record(self._stack, shown.uid, shown.gid),
            mode=recorded_mode(shown.mode, kind),
            device=(shown.rdev_major, shown.rdev_minor) if kind != stat.S_IFMT(shown.mode) else None,
            # A copy of one of several hard links is a separate file from now on.
            ino=shown.ino if alone else None,
        )
        for name, value in xattr.all_xattrs(self._stack, found).items():
            record = xattr.store(real, record, name, value, found.path)
        if kind != stat.S_IFLNK:
            os.chmod(self._upper.pinned(temporary), real_mode(shown.mode))
        os.utime(real, ns=(shown.atime_ns, shown.mtime_ns), follow_symlinks=False)
        return record

    def _publish(self, temporary: bytes, path: bytes) -> None:
        source, target = self._upper.real(temporary), self._upper.real(path)
        try:
            os.link(source, target, follow_symlinks=False)
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                raise
            os.rename(source, target)  # a file system without hard links; the lock excludes other processes
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(source)

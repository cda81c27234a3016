"""Changes to the real directory tree of the writable layer (docs/format.md §6 and §7).

1. Every method that makes a name sets its Bloom bits first.
2. A record is written before the object that it describes appears: into a file or directory under a temporary name,
   or next to the name. One next to the name is removed after the object: without an object it is ignored, and a new
   name replaces or removes a leftover one.
3. A whiteout is made before its object is removed, and is removed after its object is made: it is ignored meanwhile.
4. Compound changes run under the upper's lock (flock, exclusive). It ends with its holder. Readers take no lock.
5. Paths are those of the layer; in the writable layer they are the virtual ones: `b""` or `/a/b`.
6. Marks are not a change of the directory that a program could see: its times are restored if nothing else changed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator

from rootlay.store.disk.removetree import remove_tree
from rootlay.store.model.value import replace
from rootlay.vfs.merge import longpath
from rootlay.vfs.merge.bloom import MOVED as MOVED_KIND
from rootlay.vfs.merge.bloom import OPAQUE as OPAQUE_KIND
from rootlay.vfs.merge.bloom import RECORD as RECORD_KIND
from rootlay.vfs.merge.bloom import SHARED as SHARED_KIND
from rootlay.vfs.merge.bloom import Bloom
from rootlay.vfs.merge.errors import os_error
from rootlay.vfs.merge.filerecord import find_record, store_record
from rootlay.vfs.merge.lookup import Found
from rootlay.vfs.merge.record import NO_RECORD, NOTHING, Record
from rootlay.vfs.merge.stack import Stack
from rootlay.vfs.merge.upperkeys import iter_upper_keys
from rootlay.vfs.merge.whiteout import (
    LINKED,
    OPAQUE,
    TEMPORARY,
    is_long,
    linked_path,
    parse_mark,
    record_name,
    whiteout_name,
)

_counter = itertools.count()
_MARK = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


def split(path: bytes) -> tuple[bytes, bytes]:
    """Split a layer path into (directory, name). The root is (`b""`, `b""`)."""
    directory, _, name = path.rpartition(b"/")
    return directory, name


class Upper:
    """The writable layer of a stack. Safe for threads. Precondition: `stack.writable`."""

    def __init__(self, stack: Stack) -> None:
        self.layer = stack.upper
        self.write_through: Callable[[], None] | None = None  # set by Context: overlay.writethrough
        self._lock_path = stack.lock
        self._bloom = Bloom(self.layer.bloom) if self.layer.bloom is not None else None
        self._threads = threading.RLock()
        self._depth = 0

    @property
    def bloom(self) -> Bloom | None:
        """The filter, open as long as this object."""
        return self._bloom

    def close(self) -> None:
        """Unmap the Bloom filter. Idempotent."""
        if self._bloom is not None:
            self._bloom.close()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the upper's lock, against threads and processes. Re-entrant in one thread."""
        with self._threads:
            if self._depth or self._lock_path is None:
                yield
                return
            # A new open file description each time: a descriptor kept over fork would share the lock.
            descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                self._depth += 1
                with self._bloom.changing() if self._bloom is not None else contextlib.nullcontext():
                    self._write_through()
                    yield
            finally:
                self._depth -= 1 if self._depth else 0
                os.close(descriptor)

    def settle(self, *, held: bool = False) -> None:
        """Make whiteouts of the removals that programs have only noted so far. Call it before the upper is read.

        Args:
            held: the caller holds the upper's lock by other means.
        """
        if self._bloom is None or not self._bloom.removals_wait():
            return
        with self._threads:
            self._depth += held
            try:
                if held:
                    self._write_through()
                with self.locked():
                    pass
            finally:
                self._depth -= held

    def _write_through(self) -> None:
        if self._bloom is None or self.write_through is None or not (noted := self._bloom.removals_wait()):
            return
        self.write_through()
        self._bloom.removals_written(noted)

    def real(self, path: bytes) -> bytes:
        """Return the real path of a path in the layer."""
        return self.layer.real(path)

    def pinned(self, path: bytes) -> bytes:
        """Return the real path of an object that is not a link, for system calls that would follow one."""
        return self.layer.pinned(path)

    def announce(self, path: bytes, kind: bytes = b"") -> None:
        """Set the Bloom bits of an object that will appear."""
        if self._bloom is not None:
            self._bloom.add(path, kind)

    @contextlib.contextmanager
    def making(self, temporary: bytes) -> Iterator[None]:
        """Remove a half-made temporary if making it fails (a full disk, an unreadable original)."""
        try:
            yield
        except Exception:
            real = self.real(temporary)
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISDIR(os.lstat(real).st_mode):
                    remove_tree(real)
                else:
                    os.unlink(real)
            raise

    def temporary(self, directory: bytes, *, new: bool = False) -> bytes:
        """Return a new reserved path in a directory; it is swept if its maker died before the rename.

        Args:
            new: the rename will be the program's own creation of the name, for those that watch the directory.
        """
        unique = b"%x.%x.%s" % (os.getpid(), next(_counter), os.urandom(4).hex().encode())
        return directory + b"/" + TEMPORARY + unique + b"n" * new

    @contextlib.contextmanager
    def keeping_times(self, directory: bytes) -> Iterator[None]:
        """Restore a directory's times after a change that programs must not see."""
        before = self.layer.lstat(directory)
        yield
        os.utime(self.pinned(directory), ns=(before.st_atime_ns, before.st_mtime_ns))

    def announce_all(self) -> None:
        """Set the bits of everything in the upper: for a filter that is younger than its upper."""
        for path, kind in iter_upper_keys(self.layer.path):
            self.announce(path, kind)

    def sweep(self) -> int:
        """Remove the half-made objects of writers that died, and return their number. Scans the upper.

        Precondition: no other process works on the upper.
        """
        found: list[bytes] = []
        linked: set[bytes] = set()
        named: set[bytes] = set()
        for here, entry in self._iter_tree(b""):
            mark = parse_mark(entry.name)
            if entry.name.startswith(TEMPORARY):
                found.append(here + b"/" + entry.name)
            elif mark is not None and mark.kind == "linked":
                linked.add(here + b"/" + entry.name)
            elif mark is not None and mark.kind == "record" and entry.is_symlink():
                named.add(b"/" + LINKED + os.readlink(entry.path).removeprefix(b"l="))
        found += linked - named  # a crash has left it, or another process made it
        for path in found:
            real = self.real(path)
            if not os.path.lexists(real):  # inside a removed temporary directory
                continue
            with self.keeping_times(split(path)[0]):
                if stat.S_ISDIR(os.lstat(real).st_mode):
                    remove_tree(real)
                else:
                    os.unlink(real)
        return len(found)

    # ---- records

    def holds(self, real_mode: int) -> bool:
        """Return whether the record of a real object of this mode is stored in it."""
        return self.layer.form.in_files and (stat.S_ISREG(real_mode) or stat.S_ISDIR(real_mode))

    def prepare_record(self, temporary: bytes, path: bytes, record: Record) -> None:
        """Give the object at `temporary` its record before it gets the name `path`."""
        if record and self.holds(self.layer.lstat(temporary).st_mode):
            self._announce_record(path, record)
            if store_record(self.real(temporary), self.pinned(temporary), record):
                return
        self.write_link(path, record)

    def write_record(self, path: bytes, record: Record) -> None:
        """Replace the record of an existing object. Atomic.

        Raises:
            OSError: ENOSPC if there is no room to change an existing attribute.
        """
        real = self.layer.lstat(path)
        held = find_record(self.real(path)) if self.layer.may_hold(real.st_mode) else None
        if held is None and not self.holds(real.st_mode):
            self.write_link(path, record)
            return
        many = stat.S_ISREG(real.st_mode) and real.st_nlink > 1
        self._announce_record(path, record)
        if many:  # its other names are not known
            self.announce(b"", SHARED_KIND)
        elif not record:  # the link first: it would count again
            self.write_link(path, NO_RECORD)
        if held == record and (record or many):
            return
        if store_record(self.real(path), self.pinned(path), record, remove=not many):
            self.write_link(path, NO_RECORD)
        elif held is not None:
            raise os_error(errno.ENOSPC, path)
        else:
            self.write_link(path, record)

    def settle_record(self, found: Found, path: bytes) -> None:
        """Prepare another name, `path`, of an object that holds its record: one next to its name moves into it."""
        self.write_link(path, NO_RECORD)  # a leftover
        if found.record:
            self.announce(path, RECORD_KIND)
            with self.keeping_times(split(found.path)[0]):
                self.write_record(found.path, found.record)

    def _announce_record(self, path: bytes, record: Record) -> None:
        self.announce(path, RECORD_KIND)
        if record.redirect is not None:
            self.announce(b"", MOVED_KIND)
            self.announce(record.redirect, MOVED_KIND)

    def write_link(self, path: bytes, record: Record) -> None:
        """Make `record` the record next to a name. Atomic. An empty record removes the one that is there."""
        directory, name = split(path)
        mark = directory + b"/" + record_name(name)
        if not record:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.real(mark))
            return
        self._announce_record(path, record)
        self._put_link(record.beside(), mark)

    def _put_link(self, text: bytes, mark: bytes) -> None:
        temporary = self.temporary(split(mark)[0])
        os.symlink(text, self.real(temporary))
        os.rename(self.real(temporary), self.real(mark))

    def forget_record(self, found: Found) -> None:
        """Remove the records of an object after the name of the upper that it was found under is removed."""
        self.write_link(found.path, NO_RECORD)
        self.forget_linked(found)

    def forget_linked(self, found: Found) -> None:
        """Remove the linked record alone, which is removed with the last name."""
        if found.record.linked is not None and found.is_in(0) and found.real is not None and found.real.st_nlink == 1:
            with self.keeping_times(b""), contextlib.suppress(FileNotFoundError):
                os.unlink(self.real(linked_path(found.record.linked)))

    def link_record(self, found: Found) -> Found:
        """Give an object of the upper a linked record, one for all its names, now and later. Idempotent.

        A scan of the upper finds its existing names.
        """
        real = found.real
        assert real is not None  # it is in the upper
        if found.record.linked is not None:
            return found
        number, text = time.time_ns(), found.record.format() or NOTHING
        with self.keeping_times(b""):
            while True:
                try:
                    os.symlink(text, self.real(linked_path(number)))
                    break
                except FileExistsError:
                    number += 1
        record = replace(found.record, linked=number)
        for path in self._names_of(real) if real.st_nlink > 1 else (found.path,):
            with self.keeping_times(split(path)[0]):
                self.write_link(path, record)
        return replace(found, record=record)

    def stamp(self, path: bytes) -> None:
        """Give a real object the time (st_ctime) of a change that only its record has, as the kernel would.

        The call names the current owner: network file systems do not pass on a call that names none.
        """
        real = self.real(path)
        os.chown(real, os.lstat(real).st_uid, -1, follow_symlinks=False)

    def make_writable(self, found: Found) -> Found:
        """Add the write permission to the real file of an object of the upper before it is opened for writing.

        The mode that programs see decides which users may write; from now on the record holds it.
        """
        real = found.real
        if real is None or not stat.S_ISREG(real.st_mode) or real.st_mode & 0o200:
            return found
        record = replace(found.record, mode=found.mode)
        self.change_record(found, record)
        os.chmod(self.pinned(found.path), real.st_mode & 0o1777 | 0o200)
        return replace(found, record=record, real=self.layer.lstat(found.path))

    def change_record(self, found: Found, record: Record) -> None:
        """Give an object of the upper another record, under all its names if it has hard links.

        Its directory keeps its times.

        Raises:
            OSError: ENOSPC if there is no room to change an existing attribute.
        """
        real = found.real
        if record == found.record or real is None:
            return
        if not found.is_dir and real.st_nlink > 1 and not self.holds(real.st_mode):
            record = replace(record, linked=self.link_record(found).record.linked)
        if record.linked is not None:
            with self.keeping_times(b""):
                self._put_link(replace(record, linked=None).format() or NOTHING, linked_path(record.linked))
            return
        with self.keeping_times(split(found.path)[0]):
            self.write_record(found.path, record)

    def _names_of(self, real: os.stat_result) -> Iterator[bytes]:
        for directory, entry in self._iter_tree(b""):
            # lstat: DirEntry.inode() would do, but not where the file system's d_ino differs (network mounts).
            info = entry.stat(follow_symlinks=False)
            if (info.st_ino, info.st_dev) == (real.st_ino, real.st_dev) and parse_mark(entry.name) is None:
                yield directory + b"/" + entry.name

    def _iter_tree(self, directory: bytes) -> Iterator[tuple[bytes, os.DirEntry[bytes]]]:
        pending = [directory]
        while pending:
            here = pending.pop()
            with longpath.operation(), os.scandir(self.pinned(here)) as entries:
                for entry in entries:
                    yield here, entry
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(here + b"/" + entry.name)

    # ---- whiteouts and opaque directories

    def add_whiteout(self, path: bytes) -> None:
        """Hide a path of the layers below. Idempotent."""
        self.announce(path)
        directory, name = split(path)
        mark = self.real(directory + b"/" + whiteout_name(name))
        with contextlib.suppress(FileExistsError):
            if is_long(name):
                os.symlink(name, mark)
            else:
                os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    def remove_whiteout(self, path: bytes) -> None:
        """Remove a whiteout that has become void. Idempotent."""
        directory, name = split(path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.real(directory + b"/" + whiteout_name(name)))

    def set_opaque(self, directory: bytes, real_directory: bytes | None = None) -> None:
        """Hide all lower children of a directory. Idempotent.

        Args:
            directory: the current or future path of the directory.
            real_directory: its current path, if it will still be renamed.
        """
        self.announce(directory, OPAQUE_KIND)
        place = directory if real_directory is None else real_directory
        if real_directory is not None:
            self.announce(real_directory, OPAQUE_KIND)
        with self.keeping_times(place):  # the mark is not a change by a program
            os.close(os.open(self.real(place + b"/" + OPAQUE), _MARK, 0o600))

    # ---- whole directories

    def announce_tree(self, old: bytes, new: bytes) -> None:
        """Set the bits of everything under a directory, for the path of its coming rename."""
        if self._bloom is None:
            return
        for directory, entry in self._iter_tree(old):
            place = new + directory[len(old) :]
            mark = parse_mark(entry.name)
            if mark is None:
                self.announce(place + b"/" + entry.name)
                if self._bloom.may_have(directory + b"/" + entry.name, RECORD_KIND):
                    self.announce(place + b"/" + entry.name, RECORD_KIND)
            elif mark.kind == "opaque":
                self.announce(place, OPAQUE_KIND)
            elif mark.kind == "whiteout" and (mark.name is not None or entry.is_symlink()):
                name = os.readlink(entry.path) if mark.name is None else mark.name
                self.announce(place + b"/" + name)

    def iter_hiding(self) -> Iterator[bytes]:
        """Yield the directories that have whiteouts. Scans the upper."""
        last = None
        for directory, entry in self._iter_tree(b""):
            mark = parse_mark(entry.name)
            if mark is not None and mark.kind == "whiteout" and directory != last:
                last = directory
                yield directory

    def discard_directory(self, path: bytes) -> None:
        """Remove a directory whose merged content is empty, marks included.

        One rename to a temporary name removes it; after a crash the temporary remains, and is swept later.

        Raises:
            OSError: ENOTEMPTY if a process without the lock (the engine makes plain files without it) has put something
                into it meanwhile; then it is back in its place.
        """
        temporary = self.temporary(split(path)[0])
        os.rename(self.real(path), self.real(temporary))
        if any(parse_mark(name) is None for name in os.listdir(self.pinned(temporary))):
            os.rename(self.real(temporary), self.real(path))
            raise os_error(errno.ENOTEMPTY, path)
        remove_tree(self.real(temporary))

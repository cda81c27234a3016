"""Application of a diff to a real directory, to keep the changes of a program after a review.

Rules:
1. Each file and link appears complete, by rename, in place of the old one. Directories are made, and removed with their
   content. A crash leaves some changes made and others not; a second run completes them.
2. No symbolic link in the target is followed, except the target's own path.
3. Owners and set-id bits are set only if the caller is root: otherwise a program of another user would become the
   caller's.
4. Devices, which an ordinary user cannot make, and sockets are left out and reported.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from rootlay.store.disk.descent import Down, Walk, finish
from rootlay.store.disk.removetree import remove_tree
from rootlay.vfs.changes.change import Change
from rootlay.vfs.merge import xattr
from rootlay.vfs.merge.attributes import Attributes
from rootlay.vfs.merge.content import copy_content
from rootlay.vfs.merge.listing import iter_children
from rootlay.vfs.merge.lookup import Found
from rootlay.vfs.merge.path import ImagePath
from rootlay.vfs.overlay.overlay import Overlay

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def apply_changes(changes: Sequence[Change], state: Overlay, target: Path) -> list[Change]:
    """Make changes in `target`, with the content in `state`.

    Returns:
        The changes that were left out (rule 4).

    Raises:
        NotADirectoryError: a parent of a change is not a directory in the target, or is a symbolic link.
        OSError: the target's file system fails.
    """
    root = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _Application(state, root).run(changes)
    finally:
        os.close(root)


class _Application:
    def __init__(self, state: Overlay, root: int) -> None:
        self._state = state
        self._root = root
        self._is_root = os.geteuid() == 0
        self._left_out: list[Change] = []
        self._directories: list[tuple[ImagePath, Attributes]] = []

    def run(self, changes: Sequence[Change]) -> list[Change]:
        done: bytes | None = None
        for change in changes:
            if done is not None and change.path.raw.startswith(done):
                continue
            with self._parent(change.path) as parent:
                if change.kind == "D":
                    _remove(parent, change.path.name)
                    continue
                found = self._state.get(change.path, follow=False)
                self._object(parent, change, found)
                if found.is_dir and change.kind == "A":
                    finish(self._whole(found))
                    done = change.path.raw + b"/"
        for path, shown in reversed(self._directories):
            with self._parent(path) as parent:
                self._dress(parent, path.name, shown)
        return self._left_out

    def _whole(self, directory: Found) -> Walk[None]:
        for found in iter_children(self._state.context.lookup, directory):
            change = Change("A", ImagePath(found.path))
            with self._parent(change.path) as parent:
                self._object(parent, change, found)
            if found.is_dir:
                yield Down(self._whole(found))

    def _object(self, parent: int, change: Change, found: Found) -> None:
        name = change.path.name
        shown = self._state.context.attributes(found)
        there = _type(parent, name)
        if found.is_dir:
            if there is not None and not stat.S_ISDIR(there):
                _remove(parent, name)
                there = None
            if there is None:
                os.mkdir(name, 0o700, dir_fd=parent)
            self._directories.append((change.path, shown))
            return
        temporary = b".rootlay-%x-%s" % (os.getpid(), os.urandom(4).hex().encode())
        try:
            if not self._make(parent, temporary, found, shown):
                self._left_out.append(change)
                return
            self._dress(parent, temporary, shown)
            if there is not None and stat.S_ISDIR(there):
                _remove(parent, name)
            os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=parent)
            raise

    def _make(self, parent: int, name: bytes, found: Found, shown: Attributes) -> bool:
        """Make a temporary of the object. Return False if an ordinary user cannot make it."""
        if found.is_link:
            os.symlink(self._state.context.resolver.target(found), name, dir_fd=parent)
        elif found.is_file:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(name, flags, 0o600, dir_fd=parent)
            try:
                if shown.size:
                    copy_content(self._state.stack, found, descriptor)
                self._set_xattrs(descriptor, found)
            finally:
                os.close(descriptor)
        elif stat.S_ISFIFO(shown.mode):
            os.mkfifo(name, 0o600, dir_fd=parent)
        elif stat.S_ISSOCK(shown.mode) or not self._is_root:
            return False
        else:
            device = os.makedev(shown.rdev_major, shown.rdev_minor)
            os.mknod(name, stat.S_IFMT(shown.mode) | 0o600, device, dir_fd=parent)
        return True

    def _set_xattrs(self, descriptor: int, found: Found) -> None:
        for name, value in xattr.all_xattrs(self._state.stack, found).items():
            if self._is_root or name.startswith(b"user."):
                with contextlib.suppress(OSError):  # a file system without extended attributes
                    os.setxattr(descriptor, name, value)

    def _dress(self, parent: int, name: bytes, shown: Attributes) -> None:
        """Set owner, mode and times, in this order: each may change those after it."""
        if self._is_root:
            os.chown(name, shown.uid, shown.gid, dir_fd=parent, follow_symlinks=False)
        if not stat.S_ISLNK(shown.mode):
            # A directory that was given away or made unreadable is the user's wish; set-id bits are not.
            kept = 0o7777 if self._is_root or shown.is_dir else 0o1777
            os.chmod(name, stat.S_IMODE(shown.mode) & kept, dir_fd=parent)
        os.utime(name, ns=(shown.atime_ns, shown.mtime_ns), dir_fd=parent, follow_symlinks=False)

    @contextlib.contextmanager
    def _parent(self, path: ImagePath) -> Iterator[int]:
        """Return a descriptor of the directory that holds a path in the target."""
        here = os.dup(self._root)
        try:
            for part in path.parent.parts:
                try:
                    below = os.open(part, _DIRECTORY, dir_fd=here)
                except OSError as error:
                    if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                        raise
                    shown = os.fsdecode(path.parent.raw)
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), shown) from error
                os.close(here)
                here = below
            yield here
        finally:
            os.close(here)


def _type(parent: int, name: bytes) -> int | None:
    try:
        return os.lstat(name, dir_fd=parent).st_mode
    except FileNotFoundError:
        return None


def _remove(parent: int, name: bytes) -> None:
    """Remove the object at a path, a directory with its content. Idempotent."""
    there = _type(parent, name)
    if there is None:
        return
    if stat.S_ISDIR(there):
        remove_tree(name, dir_fd=parent)
    else:
        os.unlink(name, dir_fd=parent)

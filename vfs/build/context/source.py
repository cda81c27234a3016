"""Sources of COPY and ADD: trees of files, on the host or in an image.

Rules:
1. Paths are absolute inside the tree (`/a/b`, the root is `/`), canonical, as raw bytes; nothing outside can be named.
2. `lstat` returns what an image will show: files of the host belong to root (0:0) there; files of an image keep their
   owner (BuildKit: the client sends its context without owners).
3. Sockets are left out: a layer cannot hold them.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable
from struct import Struct
from typing import BinaryIO, NamedTuple, Protocol

from rootlay.store.disk.regularfile import open_regular
from rootlay.store.model.entry import Xattrs
from rootlay.store.model.errors import printable
from rootlay.store.model.value import value
from rootlay.vfs.merge import xattr
from rootlay.vfs.merge.longpath import Below
from rootlay.vfs.overlay.overlay import Overlay

LINKS_MAX = 40
_STAMP = Struct("<QQQqq")


class Stamp(NamedTuple):
    """The identity of a file of the host, and the time of its state: bytes, ns since the epoch."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    def pack(self) -> bytes:
        """Return it as forty bytes."""
        return _STAMP.pack(*self)

    @classmethod
    def unpack(cls, data: bytes) -> Stamp:
        """Return the inverse of `pack`."""
        return cls(*_STAMP.unpack(data))


@value
class SourceEntry:
    """One object of a source. `mode` with type bits, times in ns, sizes in bytes.

    `identity` is the same for all names of one file, None if it has only one name. `stamp` changes whenever the content
    of a file of the host may have changed; None if that is not known.
    """

    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    device: tuple[int, int] = (0, 0)
    identity: object = None
    stamp: Stamp | None = None


class LinkTree(Protocol):
    """A tree that only resolves paths."""

    def lstat(self, path: bytes) -> SourceEntry | None:
        """Return the object at a path, links not followed; None if there is none."""

    def readlink(self, path: bytes) -> bytes:
        """Return the text of a symbolic link."""


class SourceTree(LinkTree, Protocol):
    """A tree to copy from."""

    def listdir(self, path: bytes) -> list[bytes]:
        """Return the names in a directory, sorted by bytes."""

    def xattrs(self, path: bytes) -> Xattrs:
        """Return the extended attributes that an image keeps, sorted."""

    def open(self, path: bytes) -> BinaryIO:
        """Open the content of a file. The caller closes it."""


def join(directory: bytes, name: bytes) -> bytes:
    """Return the path of a name in a directory."""
    return b"/" + name if directory == b"/" else directory + b"/" + name


class HostTree:
    """A directory of the host; its links cannot lead out of it, not even if another process changes it meanwhile.

    Each step is taken by the descriptor of a directory, and never through a link. Each thread keeps the descriptors of
    the last directories: a directory that is renamed meanwhile is still one that was reached from the root.

    Args:
        root: the directory.
        ignored: whether a path (`a/b`, without a leading slash) is left out; a directory that is left out is still
            walked, and appears if something in it is not left out (see .dockerignore).
    """

    def __init__(self, root: str | os.PathLike[str], ignored: Callable[[bytes], bool] | None = None) -> None:
        self.root = os.fsencode(os.path.realpath(root)).rstrip(b"/")
        self._ignored = ignored
        self._local = threading.local()

    @property
    def _below(self) -> Below:
        """The directory, for this thread."""
        found: Below | None = getattr(self._local, "below", None)
        if found is None:
            found = self._local.below = Below(self.root)
        return found

    def lstat(self, path: bytes) -> SourceEntry | None:
        try:
            found = self._below.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if stat.S_ISSOCK(found.st_mode) or self._is_left_out(path, found.st_mode):
            return None
        plain = stat.S_ISREG(found.st_mode)
        return SourceEntry(
            found.st_mode, 0, 0, found.st_size if plain else 0, found.st_mtime_ns,
            (os.major(found.st_rdev), os.minor(found.st_rdev)),
            (found.st_dev, found.st_ino) if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode) else None,
            Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns) if plain else None,
        )  # fmt: skip

    def _is_left_out(self, path: bytes, mode: int) -> bool:
        if self._ignored is None or path == b"/" or not self._ignored(path[1:]):
            return False
        return not (stat.S_ISDIR(mode) and any(self.lstat(join(path, name)) for name in self.listdir(path)))

    def readlink(self, path: bytes) -> bytes:
        return self._below.readlink(path)

    def listdir(self, path: bytes) -> list[bytes]:
        return self._below.listdir(path)

    def xattrs(self, path: bytes) -> Xattrs:
        real = self._below.at(path, lambda name, directory: b"/proc/self/fd/%d/%s" % (directory, name))
        try:
            names = [name for name in sorted(os.listxattr(real, follow_symlinks=False)) if _travels(name)]
            return tuple((os.fsencode(name), os.getxattr(real, name, follow_symlinks=False)) for name in names)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EPERM, errno.ENODATA):
                raise
            return ()

    def open(self, path: bytes) -> BinaryIO:
        # A file that was replaced by a link meanwhile is not followed: it might lead anywhere.
        what = printable(self.root + path)
        return os.fdopen(
            self._below.at(path, lambda name, directory: open_regular(name, follow=False, dir_fd=directory, what=what)),
            "rb",
        )


def _travels(xattr_name: str) -> bool:
    """Return whether an extended attribute belongs to the file, and not to this machine (SELinux, ACLs)."""
    return xattr_name.startswith("user.") or xattr_name == "security.capability"


class OverlayTree:
    """An image, or a stage, as a source."""

    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay

    def lstat(self, path: bytes) -> SourceEntry | None:
        found = self._overlay.find(path, follow=False)
        if found is None or stat.S_ISSOCK(found.mode):
            return None
        shown = self._overlay.context.attributes(found)
        return SourceEntry(
            shown.mode, shown.uid, shown.gid, shown.size if found.is_file else 0, shown.mtime_ns,
            (shown.rdev_major, shown.rdev_minor),
            shown.ino if shown.nlink > 1 and not found.is_dir else None,
        )  # fmt: skip

    def readlink(self, path: bytes) -> bytes:
        return self._overlay.readlink(path)

    def listdir(self, path: bytes) -> list[bytes]:
        return self._overlay.listdir(path)

    def xattrs(self, path: bytes) -> Xattrs:
        found = self._overlay.get(path, follow=False)
        return tuple(xattr.all_xattrs(self._overlay.stack, found).items())

    def open(self, path: bytes) -> BinaryIO:
        return self._overlay.open_content(path)


def clean(path: bytes) -> bytes:
    """Return an absolute path without `.`, `..` and double slashes; `..` stops at the root."""
    return os.path.normpath(b"/" + path.lstrip(b"/"))


def resolve(tree: LinkTree, path: bytes) -> bytes:
    """Return the canonical path of a path in a tree: its links followed, `..` and links kept inside the tree.

    Missing components stay unchanged. Raises OSError: ELOOP.
    """
    pending = [part for part in path.split(b"/") if part][::-1]
    done = b"/"
    links = 0
    while pending:
        name = pending.pop()
        if name == b".":
            continue
        if name == b"..":
            done = done.rpartition(b"/")[0] or b"/"
            continue
        place = join(done, name)
        found = tree.lstat(place)
        if found is None or not stat.S_ISLNK(found.mode):
            done = place
            continue
        links += 1
        if links > LINKS_MAX:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fsdecode(path))
        target = tree.readlink(place)
        if target.startswith(b"/"):
            done = b"/"
        pending += [part for part in target.split(b"/") if part][::-1]
    return done

"""What `cp` reads of a container's tree with its mounts; `rootlay.vfs.changes.mountedtree` changes it.

Rules of both:
1. A path is walked name by name. Above mounts the container's own look-up answers; below one, descriptors on the host,
   and no link is ever followed by the kernel. So a link in a mount leads to a place inside, as it does for the
   container's programs, and never to one of the host; `..` of a mount's top is its parent inside.
2. A mount hides what the container has at its place. It cannot be removed or replaced (EBUSY), and a read-only one
   cannot be changed (EROFS).
3. Owners below a volume are its records (rootlay.store.volumes.owners). In another mount the user's own files are
   root's, as the container's programs see them; such a file cannot be given to another owner by an ordinary user, and
   keeps its own.
4. Without mounts every operation is the overlay's own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import BinaryIO, TypeVar

from rootlay.store.disk.regularfile import open_regular
from rootlay.store.model.errors import printable
from rootlay.store.model.posixacl import acls_of
from rootlay.store.model.value import value
from rootlay.store.volumes.owners import ATTRIBUTE, BESIDE
from rootlay.vfs.merge.attributes import Attributes
from rootlay.vfs.merge.content import copy_content, data_runs, open_content
from rootlay.vfs.merge.errors import os_error
from rootlay.vfs.merge.listing import iter_children
from rootlay.vfs.merge.longpath import Below
from rootlay.vfs.merge.lookup import Found
from rootlay.vfs.merge.record import Record
from rootlay.vfs.merge.resolve import MAX_LINKS
from rootlay.vfs.merge.whiteout import is_reserved
from rootlay.vfs.merge.xattr import all_xattrs
from rootlay.vfs.overlay.overlay import Overlay

T = TypeVar("T")
OWN = b"user.rootlay."


@value
class Mount:
    """A mount: its place inside (`/a/b`), the real path on the host, whether its files have recorded owners."""

    target: bytes
    host: bytes
    read_only: bool = False
    records: bool = False


@value(slots=False)
class Node:
    """An object of the tree. `path` is its canonical path inside, empty for the root. It is an object of the overlay
    (`found`), of a mount (`place` is its path on the host), or neither: a directory on the way to a mount."""

    parent: Node | None
    path: bytes
    found: Found | None
    mount: Mount | None = None
    place: bytes = b""
    status: os.stat_result | None = None

    @property
    def name(self) -> bytes:
        return self.path.rpartition(b"/")[2]

    @cached_property
    def mode(self) -> int:
        """st_mode; of a file in a volume, the type is right and the permissions are those of the real file."""
        if self.status is not None:
            return self.status.st_mode
        return self.found.mode if self.found is not None else stat.S_IFDIR | 0o755

    @property
    def is_dir(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)

    @property
    def is_top(self) -> bool:
        """Whether a mount is mounted here."""
        return self.mount is not None and self.path == self.mount.target


class TreeView:
    """The operations that read. Paths are absolute; errors are `OSError`. For one thread.

    Args:
        overlay: the container's own tree. The caller closes it.
        mounts: at canonical paths.
    """

    def __init__(self, overlay: Overlay, mounts: tuple[Mount, ...] = ()) -> None:
        self.overlay = overlay
        self.mounts = mounts
        self._tops = {mount.target: mount for mount in mounts}
        self._ways = {way for mount in mounts for way in _parents(mount.target)}
        self.host = Below(b"/")

    # ---- looking up

    def find(self, path: bytes, *, follow: bool = True) -> Node | None:
        """Return the object at a path, None if its last component does not exist."""
        if not self.mounts:
            found = self.overlay.find(path, follow=follow)
            return None if found is None else Node(None, found.path, found)
        return self.walk(path, follow=follow)[2]

    def get(self, path: bytes, *, follow: bool = True) -> Node:
        """Return the object at a path."""
        node = self.find(path, follow=follow)
        if node is None:
            raise os_error(errno.ENOENT, path)
        if path.endswith(b"/") and not node.is_dir:
            raise os_error(errno.ENOTDIR, path)
        return node

    def stat(self, path: bytes, *, follow: bool = True) -> Attributes:
        """Return the attributes; those of a link itself with `follow=False`."""
        return self.attributes(self.get(path, follow=follow))

    def walk(self, request: bytes, *, follow: bool) -> tuple[Node, bytes, Node | None]:
        """Return the place of the last component (directory and name; an empty name: the directory itself), and the
        object there."""
        quick = self._walk_above(request, follow=follow)
        if quick is not None:
            return quick
        root = here = Node(None, b"", self.overlay.get(b"/"))
        if b"" in self._tops:  # a mount cannot be at the root
            raise os_error(errno.EINVAL, request)
        todo = _components(request)
        links = 0
        while todo:
            name = todo.pop()
            if name == b".":
                continue
            if name == b"..":
                here = here.parent or here
                continue
            node = self._child(here, name)
            if node is not None and node.is_link and (todo or follow or request.endswith(b"/")):
                links += 1
                if links > MAX_LINKS:
                    raise os_error(errno.ELOOP, request)
                target = self.target(node)
                here = root if target.startswith(b"/") else here
                todo.extend(_components(target))
                continue
            if not todo:
                return here, name, node
            if node is None:
                raise os_error(errno.ENOENT, request)
            if not node.is_dir:
                raise os_error(errno.ENOTDIR, request)
            here = node
        return here, b"", here

    def _walk_above(self, request: bytes, *, follow: bool) -> tuple[Node, bytes, Node | None] | None:
        """Do what `walk` does by one look-up of the overlay; None if links, `..` or mounts may matter."""
        path, _, name = request.rpartition(b"/")
        if not name or name in (b".", b".."):
            return None
        if any(path == top or path.startswith(top + b"/") for top in self._tops):
            return None
        with contextlib.suppress(OSError):
            found = self.overlay.find(path or b"/")
            if found is not None and found.path == path and stat.S_ISDIR(found.mode):
                here = Node(None, path, found)
                node = self._child(here, name)
                if node is None or not (follow and node.is_link):
                    return here, name, node
        return None

    def _child(self, here: Node, name: bytes) -> Node | None:
        path = here.path + b"/" + name
        mount = self._tops.get(path)
        if mount is not None or here.mount is not None:
            mount = mount or here.mount
            place = mount.host if mount and path == mount.target else here.place.rstrip(b"/") + b"/" + name
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                return Node(here, path, None, mount, place, self.host.lstat(place or b"/"))
            return None
        found = None
        if here.found is not None and not is_reserved(name):
            found = self.overlay.child(here.found, name)
        if found is None and path not in self._ways:
            return None
        return Node(here, path, found)

    def children(self, node: Node) -> Iterator[Node]:
        """Yield the objects of a directory, sorted by bytes."""
        if not self.mounts and node.found is not None:
            for found in iter_children(self.overlay.context.lookup, node.found):
                yield Node(node, found.path, found)
            return
        names = {top.rpartition(b"/")[2] for top in (*self._tops, *self._ways) if _parent(top) == node.path}
        if node.mount is not None:
            names |= set(self.host.listdir(node.place or b"/"))
        elif node.found is not None:
            names |= {listed.name for listed in self.overlay.list_found(node.found)}
        for name in sorted(names - {b""}):
            child = self._child(node, name)
            if child is not None:
                yield child

    # ---- objects

    def attributes(self, node: Node) -> Attributes:
        """Return the attributes of an object."""
        if node.found is not None:
            return self.overlay.context.attributes(node.found)
        if node.status is None or node.mount is None:
            return Attributes(0, 0, node.mode, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        real = node.status
        shown = self.overlay.stack.ownership
        uid = shown.map_uid if real.st_uid == shown.host_uid else real.st_uid
        gid = shown.map_gid if real.st_gid == shown.host_gid else real.st_gid
        mode = real.st_mode
        if node.mount.records:
            record = self._record(node)
            uid, gid, mode = record.uid or 0, record.gid or 0, mode if record.mode is None else record.mode
        major, minor = os.major(real.st_rdev), os.minor(real.st_rdev)
        return Attributes(
            real.st_dev, real.st_ino, stat.S_IFMT(real.st_mode) | stat.S_IMODE(mode), real.st_nlink, uid, gid, major,
            minor, real.st_size, real.st_blocks, real.st_atime_ns, real.st_mtime_ns, real.st_ctime_ns,
        )  # fmt: skip

    def _record(self, node: Node) -> Record:
        text = b""
        with contextlib.suppress(OSError):
            if stat.S_ISREG(node.mode) or node.is_dir:
                text = self.held(node.place, lambda path: os.getxattr(path, ATTRIBUTE))
            else:
                text = self.host.at(node.place, lambda name, at: os.getxattr(f"/proc/self/fd/{at}", BESIDE + name))
        with contextlib.suppress(ValueError):
            return Record.parse(text)
        return Record()

    def held(self, place: bytes, call: Callable[[str], T]) -> T:
        """Return the result of a call with a path of an object that is no link, whatever its name becomes."""
        held = self.host.open(place or b"/", os.O_PATH)
        try:
            if stat.S_ISLNK(os.fstat(held).st_mode):
                raise os_error(errno.ELOOP, place)
            return call(f"/proc/self/fd/{held}")
        finally:
            os.close(held)

    def target(self, node: Node) -> bytes:
        """Return the text of a symbolic link."""
        text = (
            self.overlay.context.resolver.target(node.found)
            if node.found is not None
            else self.host.readlink(node.place)
        )
        if not text:
            raise os_error(errno.ENOENT, node.path)
        return text

    def open_content(self, node: Node) -> BinaryIO:
        """Open a stream of a regular file's bytes. The caller closes it."""
        if node.found is not None:
            return open_content(self.overlay.stack, node.found)
        what = printable(node.path)
        return os.fdopen(
            self.host.at(node.place, lambda name, at: open_regular(name, follow=False, dir_fd=at, what=what)), "rb"
        )

    def runs(self, node: Node, stream: BinaryIO, size: int) -> tuple[tuple[int, int], ...]:
        """Return the places of a file's bytes, without its holes: (offset, length)."""
        return data_runs(self.overlay.stack, node.found, stream, size) if node.found is not None else ((0, size),)

    def copy_content(self, node: Node, out: int, *, copied: Callable[[int], None] = lambda count: None) -> None:
        """Write a file's bytes to an empty file. `copied` receives the number of bytes of each piece."""
        if node.found is not None:
            copy_content(self.overlay.stack, node.found, out, copied=copied)
            return
        with self.open_content(node) as stream:
            while data := stream.read(1 << 20):
                with open(out, "ab", closefd=False) as file:
                    file.write(data)
                copied(len(data))

    def xattrs(self, node: Node) -> tuple[tuple[bytes, bytes], ...]:
        """Return the extended attributes of an object, sorted by name."""
        if node.found is not None:
            return tuple(all_xattrs(self.overlay.stack, node.found).items())
        if node.status is None or node.mount is None:
            return ()
        acls = acls_of(self._record(node).xattrs) if node.mount.records else ()
        if not (stat.S_ISREG(node.mode) or node.is_dir):
            return acls

        def read(path: str) -> tuple[tuple[bytes, bytes], ...]:
            names = sorted(map(os.fsencode, os.listxattr(path)))
            wanted = [name for name in names if name.startswith(b"user.") and not name.startswith(OWN)]
            return tuple((name, os.getxattr(path, name)) for name in wanted)

        with contextlib.suppress(OSError):
            return (*acls, *self.held(node.place, read))
        return acls


def _parent(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]


def _parents(path: bytes) -> Iterator[bytes]:
    """Yield the directories above a path, without the root."""
    while path := _parent(path):
        yield path


def _components(path: bytes) -> list[bytes]:
    """Return the components of a path, last first, without empty ones."""
    return [part for part in reversed(path.split(b"/")) if part]

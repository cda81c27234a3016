"""A container's tree with its mounts: what `cp` sees and changes, in running and in stopped containers.

The rules are those of `rootlay.vfs.changes.treeview`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from typing import TypeVar

from rootlay.store.model import posixacl
from rootlay.store.volumes.owners import Acls, store_owner, store_owner_beside
from rootlay.vfs.changes.treeview import OWN, Node, TreeView
from rootlay.vfs.merge.errors import os_error
from rootlay.vfs.overlay.overlay import Overlay

T = TypeVar("T")


class MountedTree(TreeView):
    """The operations of `cp`. See `TreeView`."""

    def with_long_paths(self) -> MountedTree:
        """Return the same tree for longer paths. Valid until the overlay is closed."""
        return MountedTree(self.overlay.with_long_paths(), self.mounts)

    def mkdir(self, path: bytes, mode: int) -> None:
        def make(name: bytes, at: int) -> None:
            os.mkdir(name, mode & 0o777, dir_fd=at)

        self._change(path, lambda inside: self.overlay.mkdir(inside, mode), make)

    def symlink(self, text: bytes, path: bytes) -> None:
        def make(name: bytes, at: int) -> None:
            os.symlink(text, name, dir_fd=at)

        self._change(path, lambda inside: self.overlay.symlink(text, inside), make)

    def mknod(self, path: bytes, mode: int, device: tuple[int, int] = (0, 0)) -> None:
        def make(name: bytes, at: int) -> None:
            os.mknod(name, mode, os.makedev(*device), dir_fd=at)

        self._change(path, lambda inside: self.overlay.mknod(inside, mode, device), make)

    def unlink(self, path: bytes) -> None:
        def remove(name: bytes, at: int) -> None:
            os.unlink(name, dir_fd=at)

        self._change(path, self.overlay.unlink, remove)

    def open(self, path: bytes, flags: int, mode: int) -> int:
        """Open a file of a new name, for writing."""

        def make(name: bytes, at: int) -> int:
            return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=at)

        return self._change(path, lambda inside: self.overlay.open(inside, flags, mode), make)

    def link(self, old: bytes, new: bytes) -> None:
        """Make a hard link. Raises EXDEV between mounts."""
        if not self.mounts:
            return self.overlay.link(old, new)
        source = self.get(old, follow=False)
        directory, name, _ = self.walk(new, follow=False)
        if source.mount != directory.mount:
            raise os_error(errno.EXDEV, old, new)
        if source.mount is None:
            return self.overlay.link(source.path, directory.path + b"/" + name)

        def make(name: bytes, at: int) -> None:
            self.host.at(
                source.place,
                lambda old, held: os.link(old, name, src_dir_fd=held, dst_dir_fd=at, follow_symlinks=False),
            )

        return self._change(new, lambda inside: None, make)

    def chmod(self, path: bytes, mode: int) -> None:
        """Change a mode. The last component is not followed; it is no link."""
        node = self._changed(path)
        if node is None or node.found is not None:
            return self.overlay.chmod(node.path or b"/" if node else path, mode)
        if node.mount is not None and node.mount.records:
            shown = self.attributes(node)
            return self._store(node, stat.S_IFMT(node.mode) | mode, shown.uid, shown.gid)
        return self.held(node.place, lambda real: os.chmod(real, mode & 0o1777))

    def chown(self, path: bytes, uid: int, gid: int, *, follow: bool = False) -> None:
        """Change the owner of an object, also of a link; by rule 3."""
        node = self._changed(path)
        if node is None or node.found is not None:
            return self.overlay.chown(node.path or b"/" if node else path, uid, gid, follow=follow)
        if node.mount is not None and node.mount.records:
            return self._store(node, self.attributes(node).mode, uid, gid)
        own = self.overlay.stack.ownership
        real = (-1 if uid in (own.map_uid, own.host_uid) else uid, -1 if gid in (own.map_gid, own.host_gid) else gid)
        with contextlib.suppress(PermissionError):
            self.host.at(node.place, lambda name, at: os.chown(name, *real, dir_fd=at, follow_symlinks=False))
        return None

    def _store(self, node: Node, mode: int, uid: int, gid: int) -> None:
        """Record owner and mode; an access ACL agrees with the mode afterwards."""
        acls = dict(posixacl.acls_of(self.xattrs(node)))
        access = posixacl.valid_of(acls.items(), posixacl.ACCESS)
        if access is not None:
            acls[posixacl.ACCESS] = posixacl.pack(posixacl.with_mode(access, mode))
        self._store_all(node, mode, uid, gid, tuple(acls.items()))

    def _store_acl(self, node: Node, name: bytes, value: bytes) -> None:
        shown = self.attributes(node)
        acls = tuple((dict(posixacl.acls_of(self.xattrs(node))) | {name: value}).items())
        acls, mode = posixacl.settle(acls, shown.mode, is_directory=node.is_dir, is_link=node.is_link)
        self._store_all(node, mode, shown.uid, shown.gid, acls)

    def _store_all(self, node: Node, mode: int, uid: int, gid: int, acls: Acls) -> None:
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            self.held(node.place, lambda real: store_owner(real, mode, uid, gid, acls=acls))
        else:
            self.host.at(
                node.place, lambda name, at: store_owner_beside(f"/proc/self/fd/{at}", name, mode, uid, gid, acls=acls)
            )

    def setxattr(self, path: bytes, name: bytes, value: bytes, *, follow: bool = False) -> None:
        """Set an attribute. In a mount, only one that a user can set on the real file is set."""
        node = self._changed(path)
        if node is None or node.found is not None:
            return self.overlay.setxattr(node.path or b"/" if node else path, name, value, follow=follow)
        if name in posixacl.NAMES and node.mount is not None and node.mount.records:
            self._store_acl(node, name, value)
        elif name.startswith(b"user.") and not name.startswith(OWN) and (stat.S_ISREG(node.mode) or node.is_dir):
            self.held(node.place, lambda real: os.setxattr(real, name, value))
        return None

    def utimens(self, path: bytes, times: tuple[int, int], *, follow: bool = False) -> None:
        """Set access and modification time, in ns; of a link itself."""
        node = self._changed(path)
        if node is None or node.found is not None:
            return self.overlay.utimens(node.path or b"/" if node else path, times, follow=follow)
        return self.host.at(node.place, lambda name, at: os.utime(name, ns=times, dir_fd=at, follow_symlinks=False))

    def _changed(self, path: bytes) -> Node | None:
        """Return the object that a change is about, by its own path; None if the overlay knows it. Rule 2."""
        if not self.mounts:
            return None
        node = self.get(path.rstrip(b"/") or b"/", follow=False)
        if node.mount is not None and node.mount.read_only:
            raise os_error(errno.EROFS, path)
        if node.found is None and node.mount is None:
            raise os_error(errno.EROFS, path)
        return node

    def _change(self, path: bytes, inside: Callable[[bytes], T], outside: Callable[[bytes, int], T]) -> T:
        """Change the name at `path`: by the overlay, or in a directory of the host. Its parents are followed."""
        if not self.mounts:
            return inside(path)
        directory, name, node = self.walk(path.rstrip(b"/"), follow=False)
        if not name or (node is not None and node.is_top):
            raise os_error(errno.EBUSY, path)
        if directory.mount is None:
            return inside(directory.path + b"/" + name)
        if directory.mount.read_only:
            raise os_error(errno.EROFS, path)
        return self.host.at(directory.place.rstrip(b"/") + b"/" + name, outside)


def as_tree(tree: Overlay | MountedTree) -> MountedTree:
    """Return a tree; an overlay as one without mounts."""
    return tree if isinstance(tree, MountedTree) else MountedTree(tree)

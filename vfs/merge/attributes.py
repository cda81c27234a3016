"""The attributes that stat shows for an object of the merged tree.

1. A view entry's inode number is 2^48 + ino (docs/format.md §5). A file copied up from it keeps the number by its
   record; a directory keeps it because a merge shows the number of its read-only part: the view's, else that of the
   topmost read-only directory.
2. Owner: record; else, in a layer with marks, the container's default owner; else the real owner, mapped.
3. A merged directory shows nlink 1 ("unknown", as the kernel's overlayfs and btrfs do): counting subdirectories
   would need a listing per stat.
4. Everything has the device number of the upper.
"""

from __future__ import annotations

import os
import stat

from rootlay.store.model import posixacl
from rootlay.store.model.entry import Xattrs
from rootlay.store.model.posixacl import Acl
from rootlay.store.model.value import value
from rootlay.vfs.merge.lookup import Found
from rootlay.vfs.merge.stack import Stack

INO_BASE = 1 << 48
BLOCK_BYTES = 512
DIRECTORY_BYTES = 4096
"""Size to show for a directory of the view; most file systems show the same."""


@value
class Attributes:
    """A struct stat, with times in ns, sizes in bytes and blocks of 512 bytes. `mode` holds the type bits,
    `acl` is the access ACL."""

    dev: int
    ino: int
    mode: int
    nlink: int
    uid: int
    gid: int
    rdev_major: int
    rdev_minor: int
    size: int
    blocks: int
    atime_ns: int
    mtime_ns: int
    ctime_ns: int
    acl: Acl | None = None

    @property
    def permissions(self) -> int:
        """The mode without its type bits."""
        return stat.S_IMODE(self.mode)

    @property
    def is_dir(self) -> bool:
        return stat.S_ISDIR(self.mode)


def device_of(stack: Stack) -> int:
    """Return the st_dev to show: that of the first directory layer."""
    return stack.dirs[0].lstat(b"").st_dev if stack.dirs else 0


def attributes(stack: Stack, dev: int, found: Found) -> Attributes:
    """Return the attributes of an object that was just looked up."""
    real = found.real
    if real is None:
        return _view_attributes(dev, found)
    record = found.record
    uid, gid = stack.ownership.shown(real, stack.dirs[found.parts[0].layer])
    major, minor = record.device or (os.major(real.st_rdev), os.minor(real.st_rdev))
    mode = found.mode
    plain = stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)
    return Attributes(
        dev=dev,
        ino=record.ino if record.ino is not None else _ino(stack, found, real),
        mode=mode,
        nlink=1 if found.is_dir and found.merges else real.st_nlink,
        uid=uid if record.uid is None else record.uid,
        gid=gid if record.gid is None else record.gid,
        rdev_major=major,
        rdev_minor=minor,
        size=real.st_size if plain else 0,
        blocks=real.st_blocks if plain else 0,
        atime_ns=real.st_atime_ns,
        mtime_ns=real.st_mtime_ns,
        ctime_ns=real.st_ctime_ns,
        acl=access_acl(found.record.xattrs) if found.record.xattrs else None,
    )


def access_acl(xattrs: Xattrs) -> Acl | None:
    """Return the access ACL among the attributes of an object, which decides with its mode who may access it."""
    return posixacl.valid_of(xattrs, posixacl.ACCESS)


def _ino(stack: Stack, found: Found, real: os.stat_result) -> int:
    if found.node is not None:
        return INO_BASE + found.node.ino
    if len(found.parts) == 1 or not stack.writable or found.parts[0].layer != 0:
        return real.st_ino
    lower = found.parts[1]
    return stack.dirs[lower.layer].lstat(lower.path).st_ino


def view_size(found: Found) -> int:
    """Return the st_size of an object that only the view has."""
    assert found.node is not None
    kind = stat.S_IFMT(found.mode)
    if kind == stat.S_IFREG:
        return found.node.size
    if kind == stat.S_IFDIR:
        return DIRECTORY_BYTES
    return len(found.node.link) if kind == stat.S_IFLNK else 0


def _view_attributes(dev: int, found: Found) -> Attributes:
    node = found.node
    assert node is not None  # an object has a part or a node
    stored = 0 if found.is_link else view_size(found)
    return Attributes(
        dev=dev,
        ino=INO_BASE + node.ino,
        mode=found.mode,
        nlink=node.nlink,
        uid=node.uid,
        gid=node.gid,
        rdev_major=node.major,
        rdev_minor=node.minor,
        size=view_size(found),
        blocks=-(-stored // BLOCK_BYTES),
        atime_ns=node.mtime_ns,
        mtime_ns=node.mtime_ns,
        ctime_ns=node.mtime_ns,
        acl=access_acl(node.xattrs) if node.xattrs else None,
    )

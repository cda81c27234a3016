"""A directory tree of the host as a layer: `import DIR` reads it as `tar -C DIR -c .` does.

All metadata is kept as the user sees it: owners, modes, times, extended attributes, hard links, holes of sparse files,
devices and FIFOs. Sockets are left out, as in tar. Links are not followed. Entries are sorted by name, so that the same
tree gives the same layer.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from rootlay.store.disk.descent import Down, Walk, descend
from rootlay.store.disk.regularfile import open_regular
from rootlay.store.layer.tree import WHITEOUT_PREFIX
from rootlay.store.layer.writer import LayerWriter, WrittenLayer
from rootlay.store.layout.layout import Layout
from rootlay.store.model.entry import Entry, EntryType, SparseMap, Xattrs
from rootlay.store.model.progress import Progress

_TYPES = {
    stat.S_IFREG: EntryType.FILE,
    stat.S_IFDIR: EntryType.DIRECTORY,
    stat.S_IFLNK: EntryType.SYMLINK,
    stat.S_IFCHR: EntryType.CHAR_DEVICE,
    stat.S_IFBLK: EntryType.BLOCK_DEVICE,
    stat.S_IFIFO: EntryType.FIFO,
}
_NO_XATTRS = frozenset({errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.ENODATA})


def write_tree(layout: Layout, root: Path, progress: Progress) -> WrittenLayer:
    """Write the tree below `root` as one layer. Raises OSError (unreadable), UnsafePath, StoreNotWritable, DiskFull."""
    base = os.fsencode(root)
    first_names: dict[tuple[int, int], bytes] = {}
    done_bytes = 0
    with LayerWriter(layout) as writer:
        for path, status in descend(_walk(base, b"")):
            kind = _TYPES.get(stat.S_IFMT(status.st_mode))
            if kind is None:
                continue
            host = os.path.join(base, path) if path else base
            key = (status.st_dev, status.st_ino)
            if kind is not EntryType.DIRECTORY and status.st_nlink > 1:
                first = first_names.setdefault(key, path)
                if first != path:
                    writer.add(path, _link(status, first))
                    continue
            if kind is not EntryType.FILE:
                writer.add(path, _entry(kind, host, status))
                continue
            with os.fdopen(open_regular(host, follow=False), "rb") as stream:
                entry = _entry(kind, host, os.fstat(stream.fileno()), _holes(stream.fileno()))
                writer.add(path, entry, stream)
            done_bytes += status.st_size
            progress(done_bytes, None, str(root))
        return writer.finish()


def _walk(base: bytes, path: bytes) -> Walk[tuple[bytes, os.stat_result]]:
    """Yield everything below, parents first, sorted. Skip whiteout names: they have another meaning in a layer."""
    host = os.path.join(base, path) if path else base
    yield path, os.lstat(host)
    with os.scandir(host) as scan:
        names = sorted(entry.name for entry in scan)
    for name in names:
        if name.startswith(WHITEOUT_PREFIX):
            continue
        child = os.path.join(path, name)
        status = os.lstat(os.path.join(base, child))
        if stat.S_ISDIR(status.st_mode):
            yield Down(_walk(base, child))
        else:
            yield child, status


def _link(status: os.stat_result, first: bytes) -> Entry:
    return Entry(
        EntryType.HARDLINK, mode=stat.S_IMODE(status.st_mode), uid=status.st_uid, gid=status.st_gid,
        mtime_ns=status.st_mtime_ns, link=first,
    )  # fmt: skip


def _entry(kind: EntryType, host: bytes, status: os.stat_result, sparse: SparseMap | None = None) -> Entry:
    device = kind in (EntryType.CHAR_DEVICE, EntryType.BLOCK_DEVICE)
    return Entry(
        kind, mode=stat.S_IMODE(status.st_mode), uid=status.st_uid, gid=status.st_gid,
        size=status.st_size if kind is EntryType.FILE else 0, mtime_ns=status.st_mtime_ns,
        major=os.major(status.st_rdev) if device else 0, minor=os.minor(status.st_rdev) if device else 0,
        link=os.readlink(host) if kind is EntryType.SYMLINK else b"", xattrs=_xattrs(host), sparse=sparse,
    )  # fmt: skip


def _xattrs(host: bytes) -> Xattrs:
    """Return all readable extended attributes, sorted by name."""
    try:
        names = os.listxattr(host, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_XATTRS:
            return ()
        raise
    found = []
    for name in sorted(names):
        try:
            found.append((os.fsencode(name), os.getxattr(host, name, follow_symlinks=False)))
        except OSError as error:
            if error.errno not in _NO_XATTRS:
                raise
    return tuple(sorted(found))


def _holes(fd: int) -> SparseMap | None:
    """Return the data runs of a file that has holes, else None."""
    status = os.fstat(fd)
    if status.st_blocks * 512 >= status.st_size:
        return None
    runs = []
    end = 0
    while end < status.st_size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole from here on
                break
            return None
        end = min(os.lseek(fd, start, os.SEEK_HOLE), status.st_size)
        runs.append((start, end - start))
    os.lseek(fd, 0, os.SEEK_SET)
    return None if runs == [(0, status.st_size)] else tuple(runs)

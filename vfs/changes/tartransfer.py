"""`cp` with a tar stream on one side, as `docker cp CONTAINER:PATH -` and `docker cp - CONTAINER:PATH`.

Rules (docker container cp):
1. Out: one tar of the object at PATH; its names begin with the last name of PATH. For `PATH/.` and the root, the tar
   has the content, with names that begin with `./`. Owners, modes, times and attributes are those inside. A link is
   followed on request.
2. In: PATH must be a directory; the tar, compressed or not, is unpacked there. Owners become root's, unless `archive`
   keeps the numbers; modes and times are the tar's.
3. In: a directory never replaces another type of object, and no other type replaces a directory.
4. Names in the tar stay below PATH: `..` is refused, links inside are the container's own.
5. A truncated tar leaves the entries before its end, as with tar.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, BinaryIO

from rootlay.store.codec.bytestream import ByteStream, iter_file
from rootlay.store.codec.codec import decompress
from rootlay.store.model.entry import Entry, EntryType
from rootlay.store.model.errors import NotAnArchive, TruncatedArchive
from rootlay.store.model.progress import Meter, Progress, silent
from rootlay.store.model.value import replace
from rootlay.store.tar.names import normalise
from rootlay.store.tar.reader import TarReader
from rootlay.store.tar.writer import END_OF_ARCHIVE
from rootlay.vfs.changes.copyerrors import CopyRefused
from rootlay.vfs.changes.diff import iter_tree
from rootlay.vfs.changes.export import metered_tar, write_entry
from rootlay.vfs.changes.mountedtree import MountedTree, as_tree
from rootlay.vfs.changes.mountedwalk import iter_mounted

if TYPE_CHECKING:
    from rootlay.vfs.overlay.overlay import Overlay

_KINDS = {EntryType.FIFO: stat.S_IFIFO, EntryType.CHAR_DEVICE: stat.S_IFCHR, EntryType.BLOCK_DEVICE: stat.S_IFBLK}
_COPY_BYTES = 1 << 18
WHAT = "standard input"


def copy_out_tar(
    tree: Overlay | MountedTree, source: bytes, out: BinaryIO, *, follow: bool = False, progress: Progress = silent
) -> None:
    """Write the object at `source` to `out`, by rule 1. Raises OSError: it does not exist."""
    content_only = source.endswith(b"/.") or not source.strip(b"/")
    tree = as_tree(tree)
    found = tree.get(source, follow=follow or content_only)
    base = b"." if content_only else os.path.basename(source.rstrip(b"/"))
    prefix: bytes | None = None
    out = metered_tar(tree, found, out, progress, "copying")
    items = iter_tree(tree.overlay, found.found) if not tree.mounts else iter_mounted(tree, found)
    for path, entry, content in items:
        if prefix is None:
            prefix = path
        link = _moved(entry.link, prefix, base) if entry.type is EntryType.HARDLINK else entry.link
        name = _moved(path, prefix, base)
        write_entry(out, b"" if name == b"." else name, replace(entry, link=link), content)
    out.write(END_OF_ARCHIVE)


def _moved(path: bytes, prefix: bytes, base: bytes) -> bytes:
    """Return a name below `prefix` (empty: the root), as one below `base`."""
    if path == prefix:
        return base
    return base + b"/" + path[len(prefix) + bool(prefix) :]


def copy_in_tar(
    tree: Overlay | MountedTree,
    stream: BinaryIO,
    target: bytes,
    *,
    archive: bool = False,
    progress: Progress = silent,
) -> None:
    """Unpack a tar in the directory `target`, by rules 2 to 5.

    Raises:
        CopyRefused: `target` is not a directory, or rule 3 forbids the copy.
        NotAnArchive, TruncatedArchive, UnsupportedMedia, UnsafePath, OSError.
    """
    tree = as_tree(tree)
    try:
        is_dir = tree.get(target).is_dir
    except (FileNotFoundError, NotADirectoryError):
        is_dir = False
    if not is_dir:
        raise CopyRefused(target, "not a directory in the container: a tar is unpacked into an existing one")
    tree = tree.with_long_paths()
    root = target.rstrip(b"/")
    source = ByteStream(decompress(Meter(progress, "copying").iter_chunks(iter_file(stream)), WHAT))
    times: list[tuple[bytes, int]] = []
    reader = TarReader(source, WHAT)
    for raw, entry in reader:
        name = normalise(raw)
        if not name:
            continue  # the directory itself is the caller's
        path = root + b"/" + name
        _make_parents(tree, root, name)
        _make(tree, source, path, root, entry)
        if entry.type is EntryType.HARDLINK:
            continue
        if archive:
            tree.chown(path, entry.uid, entry.gid, follow=False)
        if entry.type is not EntryType.SYMLINK:
            tree.chmod(path, entry.mode)
        for key, value in entry.xattrs:
            tree.setxattr(path, key, value, follow=False)
        if entry.type is EntryType.DIRECTORY:
            times.append((path, entry.mtime_ns))
        else:
            tree.utimens(path, (entry.mtime_ns, entry.mtime_ns), follow=False)
    if not reader.ended:
        raise TruncatedArchive(WHAT) if source.offset else NotAnArchive(WHAT, "empty")
    for path, mtime_ns in reversed(times):  # files that were put into them have changed them
        tree.utimens(path, (mtime_ns, mtime_ns), follow=False)


def _make_parents(tree: MountedTree, root: bytes, name: bytes) -> None:
    """Make the directories above, which a tar might not contain."""
    parts = name.split(b"/")[:-1]
    for count in range(1, len(parts) + 1):
        path = root + b"/" + b"/".join(parts[:count])
        if tree.find(path) is None:
            tree.mkdir(path, 0o755)


def _make(tree: MountedTree, source: ByteStream, path: bytes, root: bytes, entry: Entry) -> None:
    existing = tree.find(path, follow=False)
    if existing is not None:
        if existing.is_dir != (entry.type is EntryType.DIRECTORY):
            kinds = ("a directory", "something else")
            here, there = kinds if existing.is_dir else reversed(kinds)
            raise CopyRefused(path, f"it is {here} in the container, and {there} in the tar")
        if existing.is_dir:
            return
        tree.unlink(path)
    if entry.type is EntryType.DIRECTORY:
        tree.mkdir(path, 0o755)
    elif entry.type is EntryType.SYMLINK:
        tree.symlink(entry.link, path)
    elif entry.type is EntryType.HARDLINK:
        tree.link(root + b"/" + normalise(entry.link), path)
    elif entry.type is EntryType.FILE:
        fd = tree.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        with open(fd, "wb") as out:
            _fill(out, source, entry)
    else:
        tree.mknod(path, _KINDS[entry.type] | 0o644, (entry.major, entry.minor))


def _fill(out: BinaryIO, source: ByteStream, entry: Entry) -> None:
    for start, length in ((0, entry.size),) if entry.sparse is None else entry.sparse:
        out.seek(start)
        left = length
        while left:
            data = source.take(min(left, _COPY_BYTES))
            if not data:
                raise TruncatedArchive(WHAT)
            out.write(data)
            left -= len(data)
    out.truncate(entry.size)

"""`export`: the whole merged tree of a container as one tar stream, as `docker export` writes it."""

from __future__ import annotations

import shutil
import stat
from typing import TYPE_CHECKING, BinaryIO, cast

from rootlay.store.disk.walktree import tar_bytes
from rootlay.store.model.progress import Meter, MeteredFile, Progress, silent
from rootlay.store.tar.writer import END_OF_ARCHIVE, encode_entry, padding
from rootlay.vfs.changes.diff import iter_tree
from rootlay.vfs.changes.mountedtree import as_tree
from rootlay.vfs.changes.treeview import Node, TreeView
from rootlay.vfs.merge import longpath

if TYPE_CHECKING:
    from rootlay.store.model.entry import Entry
    from rootlay.vfs.overlay.overlay import Overlay

COPY_BYTES = 1 << 20


def export_tree(overlay: Overlay, out: BinaryIO, progress: Progress = silent) -> None:
    """Write every object, parents first, names sorted by bytes; owners, modes and xattrs as shown inside.

    Files that were never hydrated are read from their layers directly. Memory use does not depend on the tree.
    """
    tree = as_tree(overlay)
    metered = metered_tar(tree, tree.get(b"/"), out, progress, "exporting")
    for path, entry, content in iter_tree(overlay):
        write_entry(metered, path, entry, content)
    metered.write(END_OF_ARCHIVE)


def metered_tar(tree: TreeView, start: Node, out: BinaryIO, progress: Progress, label: str) -> BinaryIO:
    """Return `out`, whose bytes are reported as those of a tar of the object at `start`."""
    if progress is silent:
        return out
    meter = Meter(progress, label, lambda: count_tree(tree, start)[1])
    return cast(BinaryIO, MeteredFile(out, meter))


def count_tree(tree: TreeView, start: Node) -> tuple[int, int]:
    """Return the bytes of all contents below an object, and about the size of its tar. Hard links count each time."""
    content = tar = 0
    waiting = [start]
    while waiting:
        found = waiting.pop()
        attributes = tree.attributes(found)
        size = attributes.size if stat.S_ISREG(found.mode) else 0
        content, tar = content + size, tar + tar_bytes(size, attributes.mtime_ns)
        if found.is_dir:
            with longpath.operation():
                waiting.extend(tree.children(found))
    return content, tar


def write_entry(out: BinaryIO, path: bytes, entry: Entry, content: BinaryIO | None) -> None:
    """Write one entry and its content."""
    headers, content_bytes = encode_entry(path, entry)
    out.write(headers)
    if content is not None and content_bytes:
        if entry.sparse is None:
            shutil.copyfileobj(content, out, COPY_BYTES)
        else:
            for start, length in entry.sparse:
                content.seek(start)
                _copy(content, out, length)
        out.write(padding(content_bytes))


def _copy(content: BinaryIO, out: BinaryIO, length: int) -> None:
    while length:
        data = content.read(min(length, COPY_BYTES))
        if not data:
            raise EOFError("a file was truncated during the export: export again")
        out.write(data)
        length -= len(data)

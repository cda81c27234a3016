"""`export`: the whole merged tree of a container as one tar stream, as `docker export` writes it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, BinaryIO

from rootlay.store.tar.writer import END_OF_ARCHIVE, encode_entry, padding
from rootlay.vfs.changes.diff import iter_tree

if TYPE_CHECKING:
    from rootlay.store.model.entry import Entry
    from rootlay.vfs.overlay.overlay import Overlay

COPY_BYTES = 1 << 20


def export_tree(overlay: Overlay, out: BinaryIO) -> None:
    """Write every object, parents first, names sorted by bytes; owners, modes and xattrs as shown inside.

    Files that were never hydrated are read from their layers directly. Memory use does not depend on the tree.
    """
    for path, entry, content in iter_tree(overlay):
        write_entry(out, path, entry, content)
    out.write(END_OF_ARCHIVE)


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

"""A stack of layers as one view, merged name by name on request, over the ready view of its lowest layers.

The time to build a merged view on disk (`rootlay.store.view.build`) is proportional to the files of the image. A
builder that only reads the target of a COPY looks up a few names of each new layer instead.

Rules:
1. Those of the OCI image specification, as `rootlay.store.view.merge` states them: the topmost layer that has a name,
   or its whiteout, decides; directories merge unless opaque; an implicit directory has the attributes of the directory
   below.
2. IDs of the ready view are kept; objects in a layer above it get a number from `FIRST_ID` on: a directory at its first
   look-up, any other object at each look-up, because only directories are cached. Inode numbers are always the same:
   the layer's number and the one in its index.
3. Implements `vfs.merge.stack.LowerView` and `LowerHydrator`, so that `vfs.overlay.overlay.Overlay` works on it.
   Nothing is hydrated: content is read with `open`. A node's `layer` is the number of the layer above the ready view
   that has its content, -1: none.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from rootlay.store.layer.layer import Layer
from rootlay.store.model.entry import TYPE_BITS, Entry, EntryType
from rootlay.store.model.value import replace, value
from rootlay.store.view.view import Node
from rootlay.vfs.merge.stack import LowerHydrator, LowerNode, LowerView

FIRST_ID = 1 << 40
_INODE_BITS = 48
_ROOT = Entry(EntryType.DIRECTORY, mode=0o755, implicit=True)


@value
class _Directory:
    """The parts of a merged directory: (layer, id in it), topmost first, and the ready view's node below."""

    parts: tuple[tuple[int, int], ...]
    base: LowerNode | None


class LayeredView:
    """Layers, base first, over a ready view (None: nothing is below). Thread safe. Close it; it closes its parts."""

    def __init__(self, base: LowerView | None, content: LowerHydrator | None, layers: Sequence[Layer]) -> None:
        self._base = base
        self._content = content
        self._layers = tuple(layers)
        self._directories: dict[int, _Directory] = {}
        self._merged: dict[tuple[int, bytes], LowerNode] = {}
        self._next_id = FIRST_ID
        self._lock = threading.RLock()
        parts = [(number, entry) for number, entry in self._roots()]
        self.root: LowerNode = self._merge_directory(parts, base.root if base is not None else None)

    def _roots(self) -> Iterator[tuple[int, Entry]]:
        for number in range(len(self._layers) - 1, -1, -1):
            found = self._layers[number].find(0, b"")
            if found is not None:
                yield number, found
                if found.opaque:
                    return

    def find(self, parent_id: int, name: bytes) -> LowerNode | None:
        """Look `name` up in a directory. Return None if it does not exist."""
        if parent_id < FIRST_ID:
            return None if self._base is None else self._base.find(parent_id, name)
        with self._lock:
            key = (parent_id, name)
            found = self._merged.get(key)
            if found is None:
                found = self._look(self._directories[parent_id], name, len(self._layers))
                if found is not None and found.type is EntryType.DIRECTORY:
                    self._merged[key] = found
            return found

    def _look(self, directory: _Directory, name: bytes, limit: int) -> LowerNode | None:
        """Return `name` as the layers below number `limit` show it."""
        parts: list[tuple[int, Entry]] = []
        for number, entry_id in directory.parts:
            entry = self._layers[number].find(entry_id, name) if number < limit else None
            if entry is None:
                continue
            if entry.type is EntryType.WHITEOUT:
                return self._merge_directory(parts, None) if parts else None
            if entry.type is not EntryType.DIRECTORY:
                return self._merge_directory(parts, None) if parts else self._object(number, entry)
            parts.append((number, entry))
            if entry.opaque or entry.replaces:
                return self._merge_directory(parts, None)
        below = None
        if directory.base is not None and self._base is not None:
            below = self._base.find(directory.base.id, name)
        if not parts:
            return below
        return self._merge_directory(parts, below if below is not None and below.type is EntryType.DIRECTORY else None)

    def _merge_directory(self, parts: Sequence[tuple[int, Entry]], below: LowerNode | None) -> LowerNode:
        if not parts and below is not None:
            return below
        told = next((entry for _, entry in parts if not entry.implicit), None)
        shown: LowerNode | Entry = told if told is not None else below if below is not None else _ROOT
        identity = self._take_id()
        self._directories[identity] = _Directory(tuple((number, entry.id) for number, entry in parts), below)
        return Node(
            identity, EntryType.DIRECTORY, shown.mode, shown.uid, shown.gid, 0, shown.mtime_ns, 1, identity, -1,
            xattrs=shown.xattrs,
        )  # fmt: skip

    def _object(self, number: int, entry: Entry) -> LowerNode | None:
        if entry.type is EntryType.HARDLINK:
            return self._at(entry.link, number)
        ino = (number + 1 << _INODE_BITS) + entry.ino
        return Node(
            self._take_id(), entry.type, entry.mode, entry.uid, entry.gid, entry.size, entry.mtime_ns, entry.nlink, ino,
            number, b"", entry.link, entry.xattrs, entry.major, entry.minor, entry.offset, entry.sparse,
        )  # fmt: skip

    def _at(self, path: bytes, limit: int) -> LowerNode | None:
        """Return the object at a canonical path in the layers below number `limit`: the target of a hard link."""
        roots = [(number, entry) for number, entry in self._roots() if number < limit]
        node: LowerNode | None = self._merge_directory(roots, self._base.root if self._base is not None else None)
        for name in path.split(b"/"):
            if node is None or node.type is not EntryType.DIRECTORY:
                return None
            if node.id < FIRST_ID:
                node = self._base.find(node.id, name) if self._base is not None else None
            else:
                node = self._look(self._directories[node.id], name, limit)
        return node

    def iter_children(self, parent_id: int) -> Iterator[tuple[bytes, LowerNode]]:
        """Return the children of a directory, sorted by name (bytes)."""
        if parent_id < FIRST_ID:
            yield from self._base.iter_children(parent_id) if self._base is not None else ()
            return
        directory = self._directories[parent_id]
        names = {
            name for number, entry_id in directory.parts for name, _ in self._layers[number].iter_children(entry_id)
        }
        if directory.base is not None and self._base is not None:
            names.update(name for name, _ in self._base.iter_children(directory.base.id))
        for name in sorted(names):
            node = self.find(parent_id, name)
            if node is not None:
                yield name, node

    def list_types(self, parent_id: int) -> list[tuple[bytes, int]]:
        """Return names and st_mode types of the children of a directory, sorted by name (bytes)."""
        return [(name, TYPE_BITS[node.type]) for name, node in self.iter_children(parent_id)]

    def open(self, node: LowerNode) -> BinaryIO:
        """Open the content of a file, for reading. The caller closes it. Raises OSError (EIO: the store is damaged)."""
        if isinstance(node, Node) and node.id >= FIRST_ID and node.layer >= 0:
            return self._layers[node.layer].open_content(replace(node, type=EntryType.FILE))
        if self._content is None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self._content.open(node)

    def hydrate(self, entry_id: int) -> Path:
        """Raise OSError: this view does not hydrate (rule 3)."""
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    def _take_id(self) -> int:
        with self._lock:
            self._next_id += 1
            return self._next_id - 1

    def close(self) -> None:
        """Close all parts. Idempotent."""
        for layer in self._layers:
            layer.close()
        if self._content is not None:
            self._content.close()
        if self._base is not None:
            self._base.close()

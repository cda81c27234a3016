"""Hydration of files before they are requested, if that is cheap (docs/format.md §3).

There are two sources of such files: the entries that follow in the order of the view's ids, and the files in the
segment that was decompressed for the requested entry. A program that walks a tree will request the rest of both.

Rules:
1. It makes directories, and small files whose content was already decompressed for a request: it decompresses nothing.
2. Files are written in batches by C (rootlay.store.hydrate.batchwrite).
3. Nothing depends on it: a program that needs a missing file sends a request to the hydrator.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rootlay.store.hydrate.batchwrite import Batch
from rootlay.store.hydrate.tree import HydratedTree, Parts, split_path
from rootlay.store.model.entry import Entry, EntryType
from rootlay.store.view.view import Node

if TYPE_CHECKING:
    from rootlay.store.view.native import NativeView

SIZE_MAX = 256 << 10
BATCH_FILES = 32
_INDEX_STEP = 256
_ID_BITS = 32
_ID_MASK = (1 << _ID_BITS) - 1
_OWNER_RWX = 0o700
_KEPT_BITS = 0o1777
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Nodes(Protocol):
    """The needs of this module from a view."""

    def find(self, parent_id: int, name: bytes) -> Node | None:
        """Return one name of a directory."""

    def iter_places(self) -> Iterator[tuple[int, int, int]]:
        """Yield the place of the content of plain files: id, layer, offset."""

    def iter_nodes(self, after: int = 0) -> Iterator[tuple[int, bytes, Node]]:
        """Yield everything behind an id, in the order of the ids."""


class Ahead:
    """The maker of neighbours of requested files. For one hydrator, in one thread."""

    def __init__(
        self,
        view: Nodes,
        native: NativeView,
        tree_of: Callable[[Node], Path],
        mode_of: Callable[[int, Parts], int],
        find_ready: Callable[[int, Entry], tuple[bytes, int] | None],
        staging: Callable[[], Path],
        number: Callable[[], int],
    ) -> None:
        """Share the state of the hydrator.

        Args:
            mode_of: returns the permission bits of a directory of a layer.
            find_ready: returns the decompressed bytes that hold a file's content, and its start in them.
            number: returns a number that no name in the staging directory has had.
        """
        self._view, self._native = view, native
        self._tree_of, self._mode_of, self._find_ready = tree_of, mode_of, find_ready
        self._staging, self._number = staging, number
        self._directories: dict[tuple[int, int], int] = {}  # descriptors by layer and id of the entry
        self._batch = Batch(b"")
        #: By layer, sorted: the places of the content of files, and their ids. None: not known yet.
        self._places: dict[int, tuple[array[int], array[int]]] | None = None
        self._done: set[tuple[int, int]] = set()  # segments, by layer and start

    def iter_index(self) -> Iterator[int]:
        """Learn which files are in which segment: about 2 us for each file of the view. Yields ids."""
        # One number for each file: tuples would take 130 bytes.
        places: dict[int, list[int]] = {}
        for entry_id, layer, offset in self._view.iter_places():
            places.setdefault(layer, []).append(offset << _ID_BITS | entry_id)
            if not entry_id % _INDEX_STEP:
                yield entry_id
        self._places = {}
        for layer in list(places):
            found = places.pop(layer)
            found.sort()
            ids = array("L", (place & _ID_MASK for place in found))
            self._places[layer] = array("Q", (place >> _ID_BITS for place in found)), ids

    def iter_segment(self, entry_id: int) -> Iterator[int]:
        """Make the files whose content is in the same segment as an entry that was just made, once. Yields ids.

        Does nothing until `iter_index` is complete. Raises OSError, CorruptStore.
        """
        node = self._view.find(*self._native.key(entry_id))
        ready = self._find_ready(node.layer, node.entry()) if node is not None and self._places is not None else None
        if node is None or self._places is None or ready is None:
            return
        start = node.offset - ready[1]
        if (node.layer, start) in self._done:
            return
        self._done.add((node.layer, start))
        offsets, ids = self._places.get(node.layer, (array("Q"), array("L")))
        first, end = (bisect_left(offsets, at) for at in (start, start + len(ready[0])))
        yield from self._iter_made(ready[0], start, list(zip(offsets[first:end], ids[first:end], strict=True)))

    def _iter_made(self, data: bytes, start: int, files: list[tuple[int, int]]) -> Iterator[int]:
        """Make the files whose content is wholly in `data`, which starts at `start` in the layer's tar."""
        try:
            for offset, entry_id in files:
                parent, name = self._native.key(entry_id)
                node = self._view.find(parent, name)
                if node is not None and _is_small(node) and offset + node.size <= start + len(data):
                    self._add(parent, name, node, data, offset - start)
                yield entry_id
            self._flush()
        finally:
            self._drop()

    def iter_from(self, entry_id: int, last: Callable[[], int]) -> Iterator[int]:
        """Make the entries that follow an entry in the order of the ids, up to the id `last()`. Yields the visited ids.

        Raises OSError, CorruptStore.
        """
        try:
            for parent, name, node in takewhile(lambda found: found[2].id <= last(), self._view.iter_nodes(entry_id)):
                if node.type is EntryType.DIRECTORY:
                    self._make_directory(parent, name, node)
                elif node.type is EntryType.FILE:
                    self._add_file(parent, name, node)
                yield node.id
            self._flush()
        finally:
            self._drop()

    def _drop(self) -> None:
        self._batch = Batch(b"")
        while self._directories:
            os.close(self._directories.popitem()[1])

    def _make_directory(self, parent: int, name: bytes, node: Node) -> None:
        if node.source:
            return
        with suppress(FileExistsError):
            directory = self._directory(parent, node)
            os.mkdir(name, _OWNER_RWX, dir_fd=directory)
            os.chmod(name, node.mode & _KEPT_BITS | _OWNER_RWX, dir_fd=directory)

    def _add_file(self, parent: int, name: bytes, node: Node) -> None:
        found = self._find_ready(node.layer, node.entry()) if _is_small(node) else None
        if found is not None:
            self._add(parent, name, node, *found)

    def _add(self, parent: int, name: bytes, node: Node, data: bytes, offset: int) -> None:
        if data is not self._batch.data or len(self._batch) == BATCH_FILES:
            self._flush()
            self._batch = Batch(data)
        self._batch.add(self._directory(parent, node), name, node.mode, node.mtime_ns, offset, node.size)

    def _flush(self) -> None:
        if len(self._batch):
            number = self._number()
            for _ in range(len(self._batch) - 1):
                self._number()
            self._batch.write(self._staging(), number)
        self._drop()

    def _directory(self, entry_id: int, node: Node) -> int:
        """Return a descriptor of a directory in the tree of `node`'s layer."""
        key = node.layer, entry_id
        if key not in self._directories:
            parts = split_path(self._native.path(entry_id))
            tree = HydratedTree(self._tree_of(node))
            self._directories[key] = tree.make_directory(parts, lambda place: self._mode_of(node.layer, place))
        return self._directories[key]


def _is_small(node: Node) -> bool:
    """Return whether a file is plain and small: one name, at its own path, without holes."""
    return node.id == node.ino and node.size <= SIZE_MAX and node.sparse is None and not node.source

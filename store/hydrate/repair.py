"""Removal of hydrated files that a power failure cut short (docs/format.md §3), detected by their sizes.

A removed file is made again at its next use. A file's size reaches the disk only with its content (ext4 with
`data=ordered`, xfs, btrfs and others write in that order); files with holes, for which this is not true, are synced
when they are made.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from rootlay.store.disk.walktree import iter_tree
from rootlay.store.model.entry import ROOT_ID, EntryType
from rootlay.store.view.native import NativeEntry, NativeView


def repair_trees(view: NativeView, trees: Sequence[Path]) -> int:
    """Remove files that are shorter or longer than a view states.

    A file that the view does not show stays: the users of a view that shows it check it.

    Args:
        trees: of the view's layers, base first. A missing one is skipped.

    Returns:
        The number of removed files.

    Raises:
        OSError: a file cannot be removed.
        CorruptStore: the view is damaged.
    """
    trees_of_view = _Trees(view)
    return sum(trees_of_view.mend(number, tree) for number, tree in enumerate(trees))


class _Trees:
    def __init__(self, view: NativeView) -> None:
        self._view = view

    def mend(self, number: int, tree: Path) -> int:
        """Repair one layer's tree. Returns the number of removed files."""
        removed = 0
        with suppress(FileNotFoundError):
            # By inode: the entry of a directory, or 0, and its path.
            known = {os.stat(tree).st_ino: (ROOT_ID, b"")}
            for directory, item in iter_tree(tree):
                parent, path = known[os.fstat(directory).st_ino]
                name = os.fsencode(item.name)
                here = path + b"/" + name
                if item.is_dir(follow_symlinks=False):
                    known[item.inode()] = (self._view.find(parent, name) if parent else 0, here)
                elif item.is_file(follow_symlinks=False):
                    size = self._size(number, self._view.find(parent, name) if parent else 0, here)
                    if size is not None and item.stat(follow_symlinks=False).st_size != size:
                        with suppress(FileNotFoundError):
                            os.unlink(item.name, dir_fd=directory)
                        removed += 1
        return removed

    def _size(self, number: int, entry_id: int, place: bytes) -> int | None:
        """Return the size of the file at a place in the tree of a layer, bytes; None if the view does not state it."""
        if entry_id:
            entry = self._view.entry(entry_id)
            if entry.layer == number and not entry.source:
                return _bytes_of(entry)
        return self._elsewhere.get((number, place))

    @cached_property
    def _elsewhere(self) -> dict[tuple[int, bytes], int]:
        """The sizes of the files that are visible at another path than their own, by layer and place."""
        found = {}
        for entry_id in self._view.iter_ids():
            entry = self._view.entry(entry_id)
            if entry.source:
                found[entry.layer, b"/" + entry.source.strip(b"/")] = _bytes_of(entry)
        return found


def _bytes_of(entry: NativeEntry) -> int:
    return entry.size if entry.type == EntryType.FILE.value else 0  # a device is an empty file

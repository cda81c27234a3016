"""The objects of a container's tree with its mounts, in the order and form of `rootlay.vfs.changes.diff.iter_tree`."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from typing import BinaryIO

from rootlay.store.disk.descent import Down, Walk, descend
from rootlay.store.model.entry import ENTRY_TYPES, Entry, EntryType
from rootlay.vfs.changes.diff import LayerItem
from rootlay.vfs.changes.treeview import Node, TreeView
from rootlay.vfs.merge import longpath
from rootlay.vfs.merge.attributes import Attributes


def iter_mounted(tree: TreeView, start: Node) -> Iterator[LayerItem]:
    """Yield an object and all below it: (path without leading slash, entry, content of a regular file).

    The content is valid until the next item is requested. Sockets are left out.
    """
    yield from longpath.scoped(descend(_walk(tree, start, {})))


def _walk(tree: TreeView, node: Node, first: dict[tuple[object, int, int], bytes]) -> Walk[LayerItem]:
    if stat.S_ISSOCK(node.mode):
        return
    attributes, path = tree.attributes(node), node.path[1:]
    if node.is_dir:
        yield path, _entry(tree, node, attributes), None
        for child in tree.children(node):
            yield Down(_walk(tree, child, first))
        return
    if attributes.nlink > 1:
        key = (node.mount and node.mount.target, attributes.dev, attributes.ino)
        if (name := first.setdefault(key, path)) != path:
            yield path, _entry(tree, node, attributes, hard=name), None
            return
    if not stat.S_ISREG(node.mode):
        yield path, _entry(tree, node, attributes), None
        return
    with tree.open_content(node) as stream:
        yield path, _file_entry(tree, node, attributes, stream), stream


def _file_entry(tree: TreeView, node: Node, attributes: Attributes, stream: BinaryIO) -> Entry:
    runs = tree.runs(node, stream, attributes.size)
    holes = runs != ((0, attributes.size),) and attributes.size > 0
    stream.seek(0)
    return _entry(tree, node, attributes, sparse=runs if holes else None)


def _entry(
    tree: TreeView,
    node: Node,
    shown: Attributes,
    *,
    hard: bytes = b"",
    sparse: tuple[tuple[int, int], ...] | None = None,
) -> Entry:
    kind = EntryType.HARDLINK if hard else ENTRY_TYPES[stat.S_IFMT(shown.mode)]
    regular = kind is EntryType.FILE
    return Entry(
        type=kind,
        mode=shown.permissions,
        uid=shown.uid,
        gid=shown.gid,
        size=shown.size if regular else 0,
        mtime_ns=shown.mtime_ns,
        major=shown.rdev_major,
        minor=shown.rdev_minor,
        link=hard or (tree.target(node) if node.is_link else b""),
        xattrs=() if hard else tree.xattrs(node),
        sparse=sparse,
    )

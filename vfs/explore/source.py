"""One layer as a tree of items, whatever keeps it: a layer index, a merged tree, the changes of a container.

Rules:
1. Nothing is read before it is asked for: a directory is listed when its children are requested.
2. `Item.key` names a directory or a content inside its own source only.
3. A second name of a file (a hard link) has size 0: its bytes are counted once, as in a tar archive.
"""

from __future__ import annotations

import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from struct import Struct
from typing import Any, BinaryIO, Generic, Protocol, TypeVar

from rootlay.store.layer.layer import Layer
from rootlay.store.model.entry import ENTRY_TYPES, ROOT_ID, Entry, EntryType, split_key
from rootlay.store.model.value import value
from rootlay.vfs.changes.changes import Changes
from rootlay.vfs.merge.lookup import Found
from rootlay.vfs.overlay.overlay import Overlay

_HEAD = Struct("<BBHIIIIIIIQ")  # the beginning of a packed entry (docs/format.md §1), up to its size
Key = TypeVar("Key")
_FILE, _DIRECTORY = EntryType.FILE.value[0], EntryType.DIRECTORY.value[0]


@value
class Item:
    """What one layer says about one name. `mode` is without type bits, `size` the bytes of content."""

    type: EntryType
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    link: bytes = b""
    opaque: bool = False
    replaces: bool = False
    implicit: bool = False
    key: Any = None

    @property
    def is_dir(self) -> bool:
        return self.type is EntryType.DIRECTORY

    @property
    def is_whiteout(self) -> bool:
        return self.type is EntryType.WHITEOUT

    def same(self, other: Item) -> bool:
        """Return whether two items look alike: type, mode, owner, size, time and link. Contents are not compared."""
        return (
            (self.type, self.mode, self.uid, self.gid, self.link)
            == (other.type, other.mode, other.uid, other.gid, other.link)
        ) and (self.is_dir or (self.size, self.mtime_ns) == (other.size, other.mtime_ns))


class Source(Protocol):
    """One layer. Directories are named by the `key` of their item."""

    @property
    def root(self) -> Any:
        """The key of the root directory."""

    @property
    def content_bytes(self) -> int:
        """The size of all contents, in bytes."""

    def children(self, directory: Any, /) -> Iterator[tuple[bytes, Item]]:
        """Yield the names that the layer has in a directory, whiteouts included."""

    def subtree_bytes(self, directory: Any, /) -> int:
        """Return the size of all contents below a directory of this layer, in bytes."""

    def open(self, item: Item, /) -> BinaryIO:
        """Open the content of a file. The caller closes it."""


class IndexSource:
    """A layer of a store, by its index."""

    def __init__(self, layer: Layer) -> None:
        """Show `layer`, which the caller keeps open."""
        self._layer = layer
        self._sums: dict[int, int] | None = None
        self.root = ROOT_ID

    @property
    def content_bytes(self) -> int:
        return self.subtree_bytes(ROOT_ID)

    def children(self, directory: int) -> Iterator[tuple[bytes, Item]]:
        for name, entry in self._layer.iter_children(directory):
            yield name, entry_item(entry)

    def subtree_bytes(self, directory: int) -> int:
        if self._sums is None:
            self._sums = self._read_sums()
        return self._sums.get(directory, 0)

    def _read_sums(self) -> dict[int, int]:
        """Return the bytes below each directory, in one pass over the index."""
        sums: dict[int, int] = {}
        parents: list[tuple[int, int]] = []
        for key, packed in self._layer.iter_raw():
            code, _, _, entry_id, ino, _, _, _, _, _, size = _HEAD.unpack_from(packed)
            if code == _FILE and ino == entry_id:
                parent = split_key(key)[0]
                sums[parent] = sums.get(parent, 0) + size
            elif code == _DIRECTORY:
                parents.append((entry_id, split_key(key)[0]))
        # Directories were numbered after their parents: the reverse order adds children first.
        for entry_id, parent in sorted(parents, reverse=True):
            sums[parent] = sums.get(parent, 0) + sums.get(entry_id, 0)
        return sums

    def open(self, item: Item) -> BinaryIO:
        return self._layer.open_content(item.key)

    def close(self) -> None:
        self._layer.close()


def entry_item(entry: Entry) -> Item:
    """Return an entry of a layer index as an item."""
    directory = entry.type is EntryType.DIRECTORY
    size = entry.size if entry.type is EntryType.FILE and entry.ino == entry.id else 0
    return Item(
        entry.type, entry.mode, entry.uid, entry.gid, size, entry.mtime_ns, entry.link, entry.opaque, entry.replaces,
        entry.implicit, entry.id if directory else entry,
    )  # fmt: skip


class _OverlaySource(ABC, Generic[Key]):
    """A layer whose contents an overlay has, and whose directories are added up when their size is asked for."""

    root: Key

    def __init__(self, overlay: Overlay) -> None:
        """Show `overlay`, which the caller keeps open."""
        self._overlay = overlay
        self._sums: dict[bytes, int] = {}

    @property
    def content_bytes(self) -> int:
        return self.subtree_bytes(self.root)

    @abstractmethod
    def children(self, directory: Key) -> Iterator[tuple[bytes, Item]]:
        """See `Source`."""

    @abstractmethod
    def _path(self, directory: Key) -> bytes:
        """Return the path of a directory."""

    def subtree_bytes(self, directory: Key) -> int:
        path = self._path(directory)
        if path not in self._sums:
            self._sums[path] = sum(
                self.subtree_bytes(item.key) if item.is_dir else item.size for _, item in self.children(directory)
            )
        return self._sums[path]

    def open(self, item: Item) -> BinaryIO:
        return self._overlay.open_found(item.key)


class TreeSource(_OverlaySource[Found]):
    """A merged tree as one layer: a bundle, a container's lower directories, the state before a comparison."""

    def __init__(self, overlay: Overlay) -> None:
        """Show `overlay`, which the caller keeps open."""
        super().__init__(overlay)
        self.root = overlay.get("/")

    def _path(self, directory: Found) -> bytes:
        return directory.path

    def children(self, directory: Found) -> Iterator[tuple[bytes, Item]]:
        for listed in self._overlay.list_found(directory):
            found = self._overlay.child(directory, listed.name)
            if found is not None:
                yield listed.name, found_item(self._overlay, found)


def found_item(overlay: Overlay, found: Found) -> Item:
    """Return an object of a merged tree as an item."""
    attributes = overlay.context.attributes(found)
    link = overlay.context.resolver.target(found) if found.is_link else b""
    kind = ENTRY_TYPES.get(stat.S_IFMT(attributes.mode), EntryType.FIFO)  # a socket is shown as a FIFO
    size = attributes.size if found.is_file else 0
    return Item(
        kind, attributes.permissions, attributes.uid, attributes.gid, size, attributes.mtime_ns, link, key=found
    )


class ChangesSource(_OverlaySource[bytes]):
    """The changes from one state to another as a layer: new and changed objects, and whiteouts of removed ones."""

    root = b""

    def __init__(self, changes: Changes, after: Overlay) -> None:
        """Show changes; `after`, the state with them, stays open meanwhile."""
        super().__init__(after)
        self._names: dict[bytes, dict[bytes, bool]] = {}  # directory: name: removed
        for change in changes:
            parent, _, name = change.path.raw.rpartition(b"/")
            self._names.setdefault(parent, {})[name] = change.kind == "D"

    def _path(self, directory: bytes) -> bytes:
        return directory

    def children(self, directory: bytes) -> Iterator[tuple[bytes, Item]]:
        for name, removed in sorted(self._names.get(directory, {}).items()):
            path = directory + b"/" + name
            found = None if removed else self._overlay.find(path, follow=False)
            if found is None:
                yield name, Item(EntryType.WHITEOUT)
            else:
                item = found_item(self._overlay, found)
                yield name, (_at(item, path) if item.is_dir else item)


def _at(item: Item, path: bytes) -> Item:
    return Item(item.type, item.mode, item.uid, item.gid, 0, item.mtime_ns, key=path)

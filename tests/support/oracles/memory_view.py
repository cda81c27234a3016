"""A view and a hydrator in memory: a real implementation of the contract, without a store.

Built from layers, each a list of (path, Entry, content), by the OCI rules for whiteouts and opaque directories.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from rootlay.store.model.entry import TYPE_BITS, Entry, EntryType

LayerEntry = tuple[bytes, Entry, bytes | None]


@dataclass(frozen=True, slots=True)
class MemoryNode:
    id: int
    type: EntryType
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    nlink: int
    ino: int
    link: bytes
    xattrs: tuple[tuple[bytes, bytes], ...]
    major: int
    minor: int
    sparse: tuple[tuple[int, int], ...] | None


@dataclass(slots=True)
class _Object:
    """A file that may have several names."""

    entry: Entry
    content: bytes = b""


@dataclass(slots=True)
class _Tree:
    object: _Object
    children: dict[bytes, _Tree] = field(default_factory=dict)


class MemoryView:
    """Immutable once built."""

    def close(self) -> None:
        """Nothing to give up."""

    def __init__(self, *layers: Iterable[LayerEntry]) -> None:
        self._top = _Tree(_Object(Entry(EntryType.DIRECTORY, mode=0o755)))
        for layer in layers:
            self._apply(list(layer))
        self._nodes: dict[int, MemoryNode] = {}
        self._children: dict[int, dict[bytes, int]] = {}
        self._content: dict[int, bytes] = {}
        self._number()
        self.root = self._nodes[1]

    def find(self, parent_id: int, name: bytes) -> MemoryNode | None:
        number = self._children.get(parent_id, {}).get(name)
        return None if number is None else self._nodes[number]

    def iter_children(self, parent_id: int) -> Iterator[tuple[bytes, MemoryNode]]:
        for name, number in sorted(self._children.get(parent_id, {}).items()):
            yield name, self._nodes[number]

    def list_types(self, parent_id: int) -> list[tuple[bytes, int]]:
        return [(name, TYPE_BITS[node.type]) for name, node in self.iter_children(parent_id)]

    def node(self, number: int) -> MemoryNode:
        return self._nodes[number]

    def content(self, number: int) -> bytes:
        return self._content[self._nodes[number].ino]

    # ---- building

    def _walk(self, path: bytes) -> _Tree | None:
        here: _Tree | None = self._top
        for part in filter(None, path.split(b"/")):
            here = here.children.get(part) if here is not None else None
        return here

    def _apply(self, layer: list[LayerEntry]) -> None:
        """Whiteouts first: they speak of the layers below only."""
        for path, entry, _ in layer:
            directory, _, name = path.rpartition(b"/")
            parent = self._walk(directory)
            if entry.type is EntryType.WHITEOUT and parent is not None:
                assert parent.children.pop(name, None) is not None, f"whiteout of nothing: {path!r}"
            place = self._walk(path)
            if entry.opaque and place is not None:
                place.children.clear()
        for path, entry, content in layer:
            if entry.type is not EntryType.WHITEOUT:
                self._put(path, entry, content)

    def _put(self, path: bytes, entry: Entry, content: bytes | None) -> None:
        if not path:
            self._top.object = _Object(entry)
            return
        directory, _, name = path.rpartition(b"/")
        parent = self._walk(directory)
        assert parent is not None, f"parent comes later: {path!r}"
        assert parent.object.entry.type is EntryType.DIRECTORY, path
        if entry.type is EntryType.HARDLINK:
            source = self._walk(entry.link)
            assert source is not None, f"link target comes later: {path!r}"
            parent.children[name] = _Tree(source.object)
            return
        old = parent.children.get(name)
        keep = old is not None and old.object.entry.type is entry.type is EntryType.DIRECTORY
        parent.children[name] = _Tree(_Object(entry, content or b""), old.children if keep and old else {})

    def _number(self) -> None:
        names: dict[int, int] = {}
        firsts: dict[int, int] = {}
        order: list[tuple[int, _Tree]] = []
        pending = [(1, self._top)]
        count = 1
        while pending:
            number, tree = pending.pop()
            order.append((number, tree))
            names[id(tree.object)] = names.get(id(tree.object), 0) + 1
            firsts.setdefault(id(tree.object), number)
            own: dict[bytes, int] = {}
            for name in sorted(tree.children):
                count += 1
                own[name] = count
                pending.append((count, tree.children[name]))
            self._children[number] = own
        for number, tree in order:
            entry, ino = tree.object.entry, firsts[id(tree.object)]
            directories = sum(t.object.entry.type is EntryType.DIRECTORY for t in tree.children.values())
            is_dir = entry.type is EntryType.DIRECTORY
            self._content[ino] = tree.object.content
            self._nodes[number] = MemoryNode(
                number,
                entry.type,
                entry.mode,
                entry.uid,
                entry.gid,
                len(tree.object.content) if entry.type is EntryType.FILE else 0,
                entry.mtime_ns,
                2 + directories if is_dir else names[id(tree.object)],
                ino,
                entry.link,
                entry.xattrs,
                entry.major,
                entry.minor,
                entry.sparse,
            )


class MemoryHydrator:
    """Content of a `MemoryView`; real files appear in a directory of the test's."""

    def close(self) -> None:
        """Nothing to give up."""

    def __init__(self, view: MemoryView, directory: Path) -> None:
        self._view = view
        self._directory = directory
        self.hydrated: list[int] = []

    def hydrate(self, entry_id: int) -> Path:
        node = self._view.node(entry_id)
        path = self._directory / str(node.ino)
        if node.type is EntryType.DIRECTORY:
            path.mkdir(exist_ok=True)
        elif not path.exists():
            path.write_bytes(self._view.content(entry_id))
            path.chmod(0o444)
            self.hydrated.append(entry_id)
        return path

    def open(self, node: MemoryNode) -> BinaryIO:
        return io.BytesIO(self._view.content(node.id))


def directory(path: bytes, mode: int = 0o755, *, opaque: bool = False, **fields: Any) -> LayerEntry:
    return path, Entry(EntryType.DIRECTORY, mode=mode, opaque=opaque, **fields), None


def file(path: bytes, content: bytes = b"", mode: int = 0o644, **fields: Any) -> LayerEntry:
    return path, Entry(EntryType.FILE, mode=mode, size=len(content), **fields), content


def symlink(path: bytes, target: bytes) -> LayerEntry:
    return path, Entry(EntryType.SYMLINK, mode=0o777, link=target), None


def hardlink(path: bytes, target: bytes) -> LayerEntry:
    return path, Entry(EntryType.HARDLINK, link=target), None


def whiteout(path: bytes) -> LayerEntry:
    return path, Entry(EntryType.WHITEOUT), None

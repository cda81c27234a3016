"""Layers in memory, and a store of them: what hydration is tested with."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from rootlay.store.codec.content import Extent
from rootlay.store.layer.tree import LayerTree
from rootlay.store.model.digest import Digest
from rootlay.store.model.entry import Entry, EntryType
from rootlay.store.model.errors import CorruptStore
from rootlay.store.view.build import build_view, view_path
from rootlay.store.view.view import Node, View

D, F, L, P, C, H, W = (
    EntryType.DIRECTORY,
    EntryType.FILE,
    EntryType.SYMLINK,
    EntryType.FIFO,
    EntryType.CHAR_DEVICE,
    EntryType.HARDLINK,
    EntryType.WHITEOUT,
)
HOLE = 1 << 20


class MemoryLayer:
    """A layer in memory; content is found by its offset."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.content: dict[int, bytes] = {}
        self.damaged = False
        self.ready = False
        self.piece: bytes | None = None
        self._entries = LayerTree()
        self._by_path: dict[bytes, Entry] = {}

    def add(self, path: bytes, entry: Entry) -> None:
        self._entries.add(path, entry)
        self._by_path[path] = entry

    def add_file(self, path: bytes, content: bytes, mode: int = 0o644, mtime_ns: int = 0) -> None:
        offset = 512 * (len(self.content) + 1)
        self.content[offset] = content
        self.add(path, Entry(F, size=len(content), offset=offset, mode=mode, mtime_ns=mtime_ns))

    def iter_raw(self) -> Iterator[tuple[bytes, bytes]]:
        return self._entries.iter_sorted()

    def find_path(self, path: bytes, /) -> Entry | None:
        return self._by_path.get(path)

    def open_content(self, entry: Extent, /) -> BinaryIO:
        if self.damaged:
            raise CorruptStore("blob", "damaged")
        return io.BytesIO(self.content[entry.offset])

    def find_ready(self, entry: Extent, /) -> tuple[bytes, int] | None:
        return (self.piece, entry.offset) if self.ready and self.piece is not None else None

    def merge_content(self) -> None:
        """Put the content of all files into one piece, each where its offset says."""
        piece = bytearray(512 * (len(self.content) + 2))
        for offset, content in self.content.items():
            piece[offset : offset + len(content)] = content
        self.piece = bytes(piece)

    def close(self) -> None:
        """Nothing to give up."""


class MemoryStore:
    """A store of such layers, in a real directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.layers: list[MemoryLayer] = []

    def add_layer(self) -> MemoryLayer:
        directory = self.root / "layers" / Digest.of(b"%d" % len(self.layers)).hex
        directory.mkdir(parents=True)
        self.layers.append(MemoryLayer(directory / "tree"))
        return self.layers[-1]

    def layer(self, diff_id: Digest) -> MemoryLayer:
        return self.layers[self.diff_ids.index(diff_id)]

    @property
    def diff_ids(self) -> list[Digest]:
        return [Digest.of(b"%d" % number) for number in range(len(self.layers))]

    def view(self) -> View:
        return View.open(view_path(self.root, build_view(self, self.diff_ids)))


def node_of(view: View, path: bytes) -> Node:
    found = view.find_path(path)
    assert found is not None
    return found


def tree_of(path: Path) -> dict[str, int]:
    """Every path below `path` and its type bits."""
    found = {}
    for directory, names, files in os.walk(path):
        for name in names + files:
            full = os.path.join(directory, name)
            found[os.path.relpath(full, path)] = stat.S_IFMT(os.lstat(full).st_mode)
    return found


def small_store(root: Path) -> MemoryStore:
    """A layer with one of each kind."""
    base = MemoryStore(root)
    base.root.mkdir()
    layer = base.add_layer()
    layer.add(b"usr", Entry(D, mode=0o555))
    layer.add_file(b"usr/bin/tool", b"#!x\n" * 1000, mode=0o4711, mtime_ns=1_600_000_000_123_456_789)
    layer.add(b"usr/bin/same", Entry(H, link=b"usr/bin/tool"))
    layer.add(b"usr/link", Entry(L, link=b"/etc/passwd", mtime_ns=10**18))
    layer.add(b"dev/null", Entry(C, major=1, minor=3, mode=0o666))
    layer.add(b"pipe", Entry(P, mode=0))
    layer.add_file(b"\xff\xfe/" + b"n" * 255, b"raw name")
    layer.add_file(b"empty", b"")
    return base

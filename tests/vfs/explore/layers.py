"""Images of made-up layers, and what a plain reading of their tar members says about them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from rootlay.store.model.value import value
from rootlay.store.store import ImageStore
from rootlay.vfs.explore.layerstack import LayerInfo, LayerStack
from rootlay.vfs.explore.opening import open_image_layers
from rootlay.vfs.explore.source import Item, entry_item
from tests.support.archives.make import docker_archive, make_tar, read_tree

Member = tuple[str, str, object]
Layers = Sequence[Sequence[Member]]


@contextlib.contextmanager
def opened(root: Path, layers: Layers) -> Iterator[LayerStack]:
    """An image of these layers, in a store of its own."""
    archive = root / "image.tar"
    archive.write_bytes(docker_archive([([make_tar(layer) for layer in layers], ["made:1"])]))
    store = ImageStore.open(root / "store")
    with open_image_layers(store.root, store.load(archive)[0], "made:1") as stack:
        yield stack


class MemorySource:
    """A layer without a store: the names of a tar, by directory."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._names: dict[int, list[tuple[bytes, Item]]] = {}
        tree = read_tree(make_tar(members))
        ids = {path: entry.id for path, entry in tree.items()}
        for path, entry in tree.items():
            if path:
                parent, _, name = path.rpartition(b"/")
                self._names.setdefault(ids[parent], []).append((name, entry_item(entry)))
        self.root = ids[b""]

    @property
    def content_bytes(self) -> int:
        return self.subtree_bytes(self.root)

    def children(self, directory: int) -> Iterator[tuple[bytes, Item]]:
        yield from sorted(self._names.get(directory, []), key=lambda named: named[0])

    def subtree_bytes(self, directory: int) -> int:
        return sum(self.subtree_bytes(item.key) if item.is_dir else item.size for _, item in self.children(directory))

    def open(self, item: Item) -> BinaryIO:
        raise NotImplementedError


def in_memory(layers: Layers) -> LayerStack:
    """The same layers without a store: their trees, not their contents."""
    infos = [LayerInfo("", f"layer {number}") for number in range(len(layers))]
    return LayerStack("made", [MemorySource(layer) for layer in layers], infos, contextlib.ExitStack())


@value
class Plain:
    """One object of a merged tree: its kind, its content, and the layer that it is from."""

    kind: str
    content: object
    layer: int


def merged(layers: Layers, count: int) -> dict[str, Plain]:
    """The tree of the first `count` layers, by the rules of the OCI specification, path by path."""
    tree: dict[str, Plain] = {}
    for number, layer in enumerate(layers[:count]):
        removed = [path.replace(".wh.", "", 1) for path, _, _ in layer if ".wh." in path]
        for path in removed:
            for other in [other for other in tree if other == path or other.startswith(path + "/")]:
                del tree[other]
        for path, kind, content in layer:
            if ".wh." in path:
                continue
            if kind != "d" or (path in tree and tree[path].kind != "d"):
                for other in [other for other in tree if other.startswith(path + "/")]:
                    del tree[other]
            tree[path] = Plain(kind, content, number)
    return tree

"""Writing a layer index: tree, checkpoints and meta in one pass, in key order (docs/format.md §1)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from rootlay.store.codec.segment import Checkpoint
from rootlay.store.disk.lmdbfile import write_sorted
from rootlay.store.layer.tree import LayerTree
from rootlay.store.layout.layerfiles import LayerMeta
from rootlay.store.model.entry import META_KEY


class Checkpoints(Protocol):
    """Checkpoints in order, which can be iterated more than once."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Checkpoint]: ...


def write_layer_index(path: Path, tree: LayerTree, checkpoints: Checkpoints, meta: LayerMeta) -> None:
    """Write the index to the new file `path`; the caller publishes it."""
    meta_json = meta.to_json()

    def items() -> Iterator[tuple[bytes, bytes]]:
        yield from tree.iter_sorted()
        for checkpoint in checkpoints:
            yield checkpoint.key(), checkpoint.value()
        yield META_KEY, meta_json

    payload = tree.payload_bytes + len(meta_json) + sum(40 + len(c.window) for c in checkpoints)
    write_sorted(path, items(), payload, len(tree) + len(checkpoints) + 1)

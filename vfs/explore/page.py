"""The layers as one HTML page: no network, no other file (page.html is its frame).

The data is JSON, compressed with gzip, in base64: nothing of an image, whatever its names are, is ever parsed as HTML.
Each layer is a nested list as it is stored; the page merges them, up to the layer that the reader chooses.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import os
from importlib.resources import files
from typing import Any

from rootlay.store.model.entry import EntryType
from rootlay.vfs.explore.layerstack import LayerStack
from rootlay.vfs.explore.source import Item, Source
from rootlay.vfs.explore.waste import Waste

PATHS_MAX = 1_000
"""The table of wasted bytes has at most this many rows."""

_OPAQUE = 1


def make_page(stack: LayerStack, waste: Waste) -> str:
    """Return the page as text."""
    name = _text(os.fsencode(stack.name))
    data = {
        "name": name,
        "layers": [
            {"id": info.id, "command": info.command, "created": info.created, "size": source.content_bytes}
            for info, source in zip(stack.layers, stack.sources, strict=True)
        ],
        "history": [[step.created, step.command, step.layer] for step in stack.history],
        "trees": [_tree(source, source.root) for source in stack.sources],
        "waste": {
            "total": waste.total_bytes,
            "hidden": waste.hidden_bytes,
            "wasted": waste.wasted_bytes,
            "share": waste.wasted_user_share,
            "efficiency": waste.efficiency,
            "count": len(waste.paths),
            "paths": [[_text(path.path), path.count, path.size] for path in waste.paths[:PATHS_MAX]],
        },
    }
    packed = base64.b64encode(gzip.compress(json.dumps(data, separators=(",", ":")).encode(), mtime=0)).decode()
    frame = files("rootlay.vfs.explore").joinpath("page.html").read_text(encoding="utf-8")
    return frame.replace("@NAME@", html.escape(name)).replace("@DATA@", packed)


def _tree(source: Source, directory: Any) -> list[list[Any]]:
    """Return the names of a directory: [name, type, mode, uid, gid, size, flags or link, children]."""
    return [_node(source, name, item) for name, item in source.children(directory)]


def _node(source: Source, name: bytes, item: Item) -> list[Any]:
    node: list[Any] = [_text(name), item.type.value.decode(), item.mode, item.uid, item.gid, item.size]
    if item.is_dir:
        flags = _OPAQUE if item.opaque or item.replaces else 0
        return [*node, flags, _tree(source, item.key)]
    return [*node, _text(item.link)] if item.type is EntryType.SYMLINK else node


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")

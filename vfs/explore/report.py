"""The analysis of layers as JSON, in the format of dive's `--json` (wagoodman/dive, export)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from rootlay.store.model.entry import EntryType
from rootlay.vfs.explore.layerstack import LayerStack
from rootlay.vfs.explore.source import Item, Source
from rootlay.vfs.explore.waste import Waste

_GO_DIRECTORY = 1 << 31  # os.FileMode of Go
_GO_BITS = ((0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20))
_TYPE_FLAGS = {
    EntryType.FILE: b"0", EntryType.HARDLINK: b"1", EntryType.SYMLINK: b"2", EntryType.CHAR_DEVICE: b"3",
    EntryType.BLOCK_DEVICE: b"4", EntryType.DIRECTORY: b"5", EntryType.FIFO: b"6", EntryType.WHITEOUT: b"0",
}  # fmt: skip


def as_document(stack: LayerStack, waste: Waste) -> dict[str, Any]:
    """Return the document: sizes in bytes, modes as Go's os.FileMode, children before their directory."""
    layers = [
        {
            "index": number,
            "id": info.id.partition(":")[2],
            "digestId": info.id,
            "sizeBytes": source.content_bytes,
            "command": info.command,
            "fileList": list(_files(source, source.root, "")),
        }
        for number, (info, source) in enumerate(zip(stack.layers, stack.sources, strict=True))
    ]
    paths = [{"count": w.count, "sizeBytes": w.size, "file": os.fsdecode(w.path)} for w in waste.paths]
    image = {
        "sizeBytes": waste.total_bytes,
        "inefficientBytes": waste.wasted_bytes,
        "efficiencyScore": waste.efficiency,
        "fileReference": paths,
    }
    return {"layer": layers, "image": image}


def _files(source: Source, directory: Any, before: str) -> Iterator[dict[str, Any]]:
    for name, item in source.children(directory):
        path = before + os.fsdecode(name)
        if item.is_dir:
            yield from _files(source, item.key, path + "/")
        yield _file(before + ".wh." + os.fsdecode(name) if item.is_whiteout else path, item)


def _file(path: str, item: Item) -> dict[str, Any]:
    mode = item.mode & 0o777 | sum(go for bit, go in _GO_BITS if item.mode & bit)
    return {
        "path": path,
        "typeFlag": _TYPE_FLAGS[item.type][0],
        "linkName": os.fsdecode(item.link),
        "size": item.size,
        "fileMode": mode | (_GO_DIRECTORY if item.is_dir else 0),
        "uid": item.uid,
        "gid": item.gid,
        "isDir": item.is_dir,
    }

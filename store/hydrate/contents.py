"""Content of small files for copy-ups: nothing is hydrated, because the copies are written by the programs
(docs/format.md §8).

Rules:
1. The content of files that are probably copied up next (rootlay.store.hydrate.walkorder) is sent along, as far as it
   is decompressed already: a single copy-up costs one file.
2. What is sent is verified, as in hydration: bytes of a segment are, and so is what `open_content` reads to its end.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

from rootlay.store.codec.content import Extent
from rootlay.store.hydrate.walkorder import Tree, WalkOrder
from rootlay.store.model.entry import EntryType
from rootlay.store.view.view import Node

#: As in store/csrc/abi.h.
ANSWER_BYTES = 128 << 10
FILE_BYTES = 32 << 10
_ITEM = struct.Struct("<II")


class Layer(Protocol):
    """The needs of this module from a layer."""

    def open_content(self, entry: Extent, /) -> BinaryIO:
        """Open the content of a file."""

    def find_ready(self, entry: Extent, /) -> tuple[bytes, int] | None:
        """Return the bytes that hold a file's content and its start in them, if nothing has to be decompressed."""


class Contents:
    """The answers for the copy-ups of one container, in one thread."""

    def __init__(
        self,
        tree: Tree,
        node_of: Callable[[int], Node],
        use_layer: Callable[[int], AbstractContextManager[Layer]],
    ) -> None:
        """Use `node_of` to find a file of the view, and `use_layer` to open a layer of its stack."""
        self._node_of, self._use_layer = node_of, use_layer
        self._order = WalkOrder(tree)

    def answer(self, entry_id: int) -> bytes:
        """Return the content of a small file, and of others; empty for another one. Raises OSError, CorruptStore."""
        node = self._node_of(entry_id)
        if not _is_small(node):
            return b""
        next_ids = self._order.asked(entry_id)
        with self._use_layer(node.layer) as layer, layer.open_content(node.entry()) as opened:
            content = opened.read()
        if len(content) != node.size:
            raise OSError(errno.EIO, "the layer's content ends early")
        parts = [_ITEM.pack(entry_id, len(content)), content]
        room = ANSWER_BYTES - len(content) - _ITEM.size
        for number in next_ids:
            found = self._node_of(number)
            if _is_small(found):
                ready = self._find_ready(found)
                room -= found.size + _ITEM.size
                if ready is None or room < 0:
                    break
                data, start = ready
                parts += (_ITEM.pack(number, found.size), data[start : start + found.size])
            self._order.sent(number)
        return b"".join(parts)

    def _find_ready(self, node: Node) -> tuple[bytes, int] | None:
        with self._use_layer(node.layer) as layer:
            return layer.find_ready(node.entry())


def _is_small(node: Node) -> bool:
    """Return whether the content of an entry can be sent: a small file without holes."""
    return node.type is EntryType.FILE and 0 < node.size <= FILE_BYTES and node.sparse is None

"""Wasted bytes and efficiency, by the formula of dive (wagoodman/dive, dive/filetree/efficiency.go).

1. A leaf is a file, a link, a whiteout, or a directory that has no names in its layer. A path with leaves in two or
   more layers is inefficient; it wastes the sum of its sizes.
2. A whiteout of a directory has the size of what the layers below have there; any other whiteout has size 0.
3. Efficiency is the sum of the smallest size of each path, divided by the sum of all sizes.
4. Opaque marks do not count, and a directory that is a leaf in one layer only does not either.
Only directories that two layers have are entered: a path in a single layer wastes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rootlay.store.model.value import value
from rootlay.vfs.explore.layerstack import LayerStack
from rootlay.vfs.explore.source import Item

Part = tuple[int, Any]  # a layer, and the key of a directory in it


@value
class Wasted:
    """A path that several layers have. `size`: the sum of its sizes, in bytes."""

    path: bytes
    count: int
    size: int


@value
class Waste:
    """The figures of dive: sizes in bytes, `efficiency` and `wasted_user_share` from 0 to 1.

    `hidden_bytes` is the size of all contents that an upper layer replaces or removes (not one of dive's figures).
    `user_bytes` is the size of all layers but the base. `paths` is sorted, the most wasteful first.
    """

    total_bytes: int
    user_bytes: int
    hidden_bytes: int
    wasted_bytes: int
    efficiency: float
    wasted_user_share: float
    paths: tuple[Wasted, ...]


def count_waste(stack: LayerStack, check: Callable[[], None] = lambda: None) -> Waste:
    """Count the wasted bytes of all layers. Takes time proportional to the directories that layers share.

    Args:
        check: called for every directory; may raise to abort.
    """
    sizes = [source.content_bytes for source in stack.sources]
    counter = _Counter(stack, check)
    found = list(counter.directory(b"", [(number, source.root) for number, source in enumerate(stack.sources)]))
    wasted = sum(path.size for path in found)
    every = sum(sizes) + counter.whiteout_bytes
    user = sum(sizes[1:])
    return Waste(
        total_bytes=sum(sizes),
        user_bytes=user,
        hidden_bytes=sum(sizes) - stack.visible_bytes(),
        wasted_bytes=wasted,
        efficiency=(every - counter.avoidable_bytes) / every if every else 1.0,
        wasted_user_share=wasted / user if user else 0.0,
        paths=tuple(sorted(found, key=lambda path: (-path.size, path.path))),
    )


class _Counter:
    def __init__(self, stack: LayerStack, check: Callable[[], None]) -> None:
        self._stack = stack
        self._check = check
        self.whiteout_bytes = 0  # the sizes of whiteouts of directories: rule 2
        self.avoidable_bytes = 0  # all sizes of a path without the smallest, summed up

    def directory(self, path: bytes, parts: list[Part]) -> Iterator[Wasted]:
        """Yield the inefficient paths in a directory that the layers of `parts` have, base layer first."""
        self._check()
        if len(parts) < 2:
            return
        names: dict[bytes, list[tuple[int, Item]]] = {}
        for number, key in parts:
            for name, item in self._stack.sources[number].children(key):
                names.setdefault(name, []).append((number, item))
        for name, found in names.items():
            if len(found) > 1:
                yield from self._name(path + b"/" + name, found)

    def _name(self, path: bytes, found: list[tuple[int, Item]]) -> Iterator[Wasted]:
        sizes: list[int] = []
        for number, item in found:
            if item.is_whiteout or item.replaces:
                size = self._removed_bytes(path, number)
                self.whiteout_bytes += size
                sizes.append(size)
            if item.is_dir and next(self._stack.sources[number].children(item.key), None) is None:
                sizes.append(0)
            elif not item.is_dir and not item.is_whiteout:
                sizes.append(item.size)
        if len(sizes) > 1:
            self.avoidable_bytes += sum(sizes) - min(sizes)
            yield Wasted(path, len(sizes), sum(sizes))
        yield from self.directory(path, [(number, item.key) for number, item in found if item.is_dir])

    def _removed_bytes(self, path: bytes, number: int) -> int:
        """Return the size of the directory that layer `number` removes; 0 for anything else."""
        row = self._stack.find(path, number - 1, 0) if number else None
        return self._stack.total(row, 0) if row is not None and row.place is not None else 0

"""Layers on top of each other: the merged tree up to any of them, and what the layers from one on changed.

1. Layers are numbered from 0, the base layer. A comparison has a `top` layer, the last one that is merged, and a
   `since` layer: the layers from `since` to `top` are the change, the ones below are the state before.
2. A removed object stays in the tree with the status "removed", together with everything below it.
3. A directory is "changed" if a layer of the change has it and a layer below, too: its layer lists the parents of
   each change.
Specification: OCI image-spec, layer.md (whiteouts, opaque whiteouts).
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Literal

from rootlay.store.model.closing import Closing
from rootlay.store.model.value import value
from rootlay.vfs.explore.source import Item, Source

Status = Literal["same", "added", "changed", "removed"]
PREVIEW_BYTES = 64 << 10
DIFF_BYTES = 1 << 20


@value
class LayerInfo:
    """What is said about one layer. `id` is its diff ID or empty, `command` the step that made it."""

    id: str
    command: str
    created: str = ""


@value
class Step:
    """One step of an image's history: `created` in RFC 3339; `layer`: its number, None for a step without a layer."""

    created: str
    command: str
    layer: int | None


@value
class Place:
    """One directory of the tree: the layers that have it, top first, each with whether the part is hidden."""

    path: bytes
    parts: tuple[tuple[int, Any, bool], ...]


@value
class Row:
    """One name of a directory. `layer`: the layer that `item` is from. `place`: of a directory, where to go on."""

    name: bytes
    path: bytes
    item: Item
    layer: int
    status: Status
    place: Place | None = None


@value
class Version:
    """What one layer says about a path."""

    layer: int
    item: Item


class LayerStack(Closing):
    """The layers of an image or container, base layer first. Close it, or use it in a `with` block."""

    def __init__(
        self,
        name: str,
        sources: Sequence[Source],
        layers: Sequence[LayerInfo],
        opened: contextlib.ExitStack,
        history: Sequence[Step] = (),
    ) -> None:
        """`opened` closes what the sources hold; `history` has the oldest step first."""
        if len(sources) != len(layers):
            raise ValueError("each layer needs its description")
        self.name = name
        self.sources = tuple(sources)
        self.layers = tuple(layers)
        self.history = tuple(history)
        self.closed = False
        self._opened = opened

    def __len__(self) -> int:
        return len(self.sources)

    def close(self) -> None:
        self.closed = True
        self._opened.close()

    def root(self, top: int) -> Place:
        """Return the root directory of layers 0 to `top`."""
        return Place(b"", tuple((number, self.sources[number].root, False) for number in range(top, -1, -1)))

    def children(self, place: Place, since: int) -> list[Row]:
        """Return the names of a directory, sorted by bytes, each compared with the layers below `since`."""
        names: dict[bytes, _Name] = {}
        for number, key, hidden in place.parts:
            for name, item in self.sources[number].children(key):
                names.setdefault(name, _Name()).add(number, item, hidden, since)
        rows = (found.row(place.path, name, since) for name, found in sorted(names.items()))
        return [row for row in rows if row is not None]

    def walk(self, top: int, since: int) -> Iterator[Row]:
        """Yield all rows of the tree, parents first, siblings sorted by bytes."""
        waiting = list(reversed(self.children(self.root(top), since)))
        while waiting:
            row = waiting.pop()
            yield row
            if row.place is not None:
                waiting.extend(reversed(self.children(row.place, since)))

    def total(self, row: Row, since: int) -> int:
        """Return the bytes of an object: its content, or all contents below it that are not removed."""
        if row.place is None:
            return row.item.size
        if len(row.place.parts) == 1:
            number, key, _ = row.place.parts[0]
            return self.sources[number].subtree_bytes(key)
        children = self.children(row.place, since)
        return sum(
            self.total(child, since) for child in children if row.status == "removed" or child.status != "removed"
        )

    def visible_bytes(self) -> int:
        """Return the bytes of all contents of the merged tree."""
        return sum(self.total(row, 0) for row in self.children(self.root(len(self) - 1), 0))

    def find(self, path: bytes, top: int, since: int) -> Row | None:
        """Return the row of a path (`/a/b`), removed ones included; None if no layer has it."""
        place: Place | None = self.root(top)
        row = None
        for name in filter(None, path.split(b"/")):
            if place is None:
                return None
            row = next((child for child in self.children(place, since) if child.name == name), None)
            if row is None:
                return None
            place = row.place
        return row

    def versions(self, path: bytes) -> list[Version]:
        """Return what each layer says about a path, base layer first, whiteouts included."""
        found = []
        names = [name for name in path.split(b"/") if name]
        for number, source in enumerate(self.sources):
            key, item = source.root, None
            for depth, name in enumerate(names):
                item = next((child for other, child in source.children(key) if other == name), None)
                if item is None or (depth + 1 < len(names) and not item.is_dir):
                    item = None
                    break
                key = item.key
            if item is not None:
                found.append(Version(number, item))
        return found

    def open(self, version: Row | Version) -> BinaryIO:
        """Open the content of a file in its layer. The caller closes it. Raises as the layer's reader."""
        return self.sources[version.layer].open(version.item)

    def preview(self, version: Row | Version, limit: int = PREVIEW_BYTES) -> bytes:
        """Return the first bytes of a file."""
        with self.open(version) as stream:
            return stream.read(limit)

    def text_diff(self, before: Version, after: Version) -> list[str] | None:
        """Return the unified diff of two versions of a file, without line ends; None if one is not a text of 1 MiB."""
        texts = []
        for version in (before, after):
            content = self.preview(version, DIFF_BYTES + 1)
            if len(content) > DIFF_BYTES or b"\0" in content:
                return None
            texts.append(content.decode("utf-8", "replace").splitlines())
        labels = [f"layer {version.layer}" for version in (before, after)]
        return list(difflib.unified_diff(texts[0], texts[1], labels[0], labels[1], lineterm=""))


def _decides(item: Item) -> bool:
    """Return whether the layers below have no say in a name."""
    return not item.is_dir or item.opaque or item.replaces


class _Name:
    """What the layers say about one name, collected from the top layer down."""

    def __init__(self) -> None:
        self._shown: Version | None = None  # in the merged tree; or a removed object, if `_removed`
        self._removed = False
        self._before: Item | None = None  # in the layers below `since`
        self._decided = False  # the layers below have no say in the merged tree
        self._decided_before = False  # nor in the state before
        self._parts: list[tuple[int, Any, bool]] = []

    def add(self, number: int, item: Item, hidden: bool, since: int) -> None:
        """Take what the next lower layer says. `hidden`: an upper layer removed the directory of the name."""
        if item.is_whiteout:
            self._decided = True
            self._decided_before |= number < since
            return
        covered = hidden or self._decided
        counts_before = number < since and not self._decided_before
        if covered and not counts_before:  # it was in neither of the two states
            return
        if counts_before:
            self._before = self._before or item
            self._decided_before = _decides(item)
        if self._shown is None:
            self._shown, self._removed = Version(number, item), covered
        if item.is_dir and self._shown.item.is_dir:
            self._parts.append((number, item.key, covered))
        self._decided |= _decides(item)

    def row(self, directory: bytes, name: bytes, since: int) -> Row | None:
        """Return the row of the name; None if neither the tree nor the state before has it."""
        if self._shown is None or (self._removed and self._before is None):
            return None
        path = directory + b"/" + name
        shown = self._shown
        place = Place(path, tuple(self._parts)) if shown.item.is_dir else None
        return Row(name, path, shown.item, shown.layer, self._status(shown, since), place)

    def _status(self, shown: Version, since: int) -> Status:
        if self._removed:
            return "removed"
        if shown.layer < since or since == 0:
            return "same"
        if self._before is None:
            return "added"
        if shown.item.is_dir and shown.item.implicit and self._before.is_dir:
            return "changed"
        return "changed" if shown.item.is_dir or not shown.item.same(self._before) else "same"

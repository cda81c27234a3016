"""Comparison of two states: image, snapshot or container, in any pairing.

Rules:
1. Takes time proportional to the difference. Two directories that consist of the same layers' directories are equal and
   are not entered. In others, only the names in the layers that differ are looked up. Lower trees that both states have
   are never listed. The views of two images are compared name by name; a file that both have from one layer is not
   read.
2. The output is that of `docker diff`, as in vfs.changes.diff: A added, C changed, D deleted, parents first, names
   sorted by bytes; a directory with a change inside shows as changed. For a directory that was renamed here, only later
   changes are listed.
3. Files of different layers are compared: attributes first, then bytes. A copy without a change is no change.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence

from rootlay.store.disk.descent import Down, Walk, descend
from rootlay.store.model.digest import Digest
from rootlay.store.view.view import Node
from rootlay.vfs.changes.change import Change, Kind, Shape
from rootlay.vfs.merge import longpath, xattr
from rootlay.vfs.merge.content import open_content
from rootlay.vfs.merge.listing import list_real
from rootlay.vfs.merge.lookup import Found
from rootlay.vfs.merge.path import ImagePath
from rootlay.vfs.overlay.overlay import Overlay

_CHUNK_BYTES = 1 << 20
Source = tuple[object, ...]


def compare(before: Overlay, after: Overlay) -> Iterator[Change]:
    """Return the changes from one state to another. Neither may change meanwhile."""
    walk = _Comparison(before, after).directory(before.get(b"/"), after.get(b"/"))
    yield from longpath.scoped(descend(walk))


class _Comparison:
    def __init__(self, before: Overlay, after: Overlay) -> None:
        self._before = before
        self._after = after
        self._known: set[Source] = {("layer", layer.path) for layer in before.stack.dirs}
        self._known.add(_view_of(before))
        # Directories that the walk is in. They have changed if something inside has.
        self._untold: list[tuple[Found, Found]] = []

    def directory(self, before: Found, after: Found) -> Walk[Change]:
        """Compare two directories at one path."""
        for name in self._names(before, after):
            one = self._before.context.lookup.child(before, name)
            other = self._after.context.lookup.child(after, name)
            path = after.path + b"/" + name
            if other is None:
                if one is not None:
                    yield from self._told("D", path, one, None)
            elif one is None:
                yield from self._told("A", path, None, other)
                yield Down(self._added(other))
            elif one.is_dir and other.is_dir:
                if self._differ(one, other):
                    yield from self._told("C", path, one, other)
                    yield Down(self.directory(one, other))
                else:
                    self._untold.append((one, other))
                    yield Down(self.directory(one, other))
                    if self._untold:
                        self._untold.pop()
            elif self._differ(one, other):
                yield from self._told("C", path, one, other)
                yield Down(self._added(other))

    def _told(self, kind: Kind, path: bytes, one: Found | None, other: Found | None) -> Iterator[Change]:
        """Return a change, after those of its parent directories."""
        for before, after in self._untold:
            yield self._change("C", after.path, before, after)
        self._untold.clear()
        yield self._change(kind, path, one, other)

    def _change(self, kind: Kind, path: bytes, one: Found | None, other: Found | None) -> Change:
        before = _shape(self._before, one) if one is not None else None
        return Change(kind, ImagePath(path), before, _shape(self._after, other) if other is not None else None)

    def _names(self, before: Found, after: Found) -> list[bytes]:
        """Return the names in the layers that differ. The layers that both states have decide all other names."""
        ours, theirs = _sources(self._before, before), _sources(self._after, after)
        while ours and theirs and ours[-1] == theirs[-1]:
            ours.pop()
            theirs.pop()
        names: set[bytes] = set()
        for overlay, found, sources in ((self._before, before, ours), (self._after, after, theirs)):
            for index in range(len(sources)):
                names |= _names_of(overlay, found, index)
        return sorted(names)

    def _added(self, directory: Found) -> Walk[Change]:
        """Return the content of a new directory, unless the state before holds it elsewhere."""
        if not directory.is_dir:
            return
        names: set[bytes] = set()
        for index, part in enumerate(directory.parts):
            if ("layer", self._after.stack.dirs[part.layer].path) not in self._known:
                names |= _names_of(self._after, directory, index)
        if directory.node is not None and _view_of(self._after) not in self._known:
            names |= _names_of(self._after, directory, len(directory.parts))
        for name in sorted(names):
            found = self._after.context.lookup.child(directory, name)
            if found is not None:
                yield self._change("A", found.path, None, found)
                yield Down(self._added(found))

    def _differ(self, one: Found, other: Found) -> bool:
        if not one.is_dir and _sources(self._before, one) == _sources(self._after, other):
            return False
        with longpath.lending():
            if self._shown(self._before, one) != self._shown(self._after, other):
                return True
        if not one.is_file:
            return False
        place = _place_of(self._before, one)
        if place is not None and place == _place_of(self._after, other):
            return False
        with open_content(self._before.stack, one) as ours, open_content(self._after.stack, other) as theirs:
            while chunk := ours.read(_CHUNK_BYTES):
                if theirs.read(len(chunk)) != chunk:
                    return True
            return bool(theirs.read(1))

    @staticmethod
    def _shown(overlay: Overlay, found: Found) -> tuple[object, ...]:
        a = overlay.context.attributes(found)
        size = a.size if stat.S_ISREG(a.mode) else 0
        target = overlay.context.resolver.target(found) if found.is_link else b""
        attributes = xattr.all_xattrs(overlay.stack, found)
        return a.mode, a.uid, a.gid, a.mtime_ns, size, a.rdev_major, a.rdev_minor, target, attributes


def _shape(overlay: Overlay, found: Found) -> Shape:
    with longpath.lending():
        shown = overlay.context.attributes(found)
    return Shape(shown.mode, shown.uid, shown.gid, shown.size)


def _sources(overlay: Overlay, found: Found) -> list[Source]:
    """Return the sources of an object, top first: equal sources are equal objects, whatever the stack."""
    sources: list[Source] = [(overlay.stack.dirs[part.layer].path, part.path) for part in found.parts]
    if found.node is not None:
        sources.append((*_view_of(overlay), found.node.id))
    return sources


def _place_of(overlay: Overlay, found: Found) -> Source | None:
    """Return where a layer has the bytes of a view's file: files of one size at one place have the same bytes."""
    layers: Sequence[Digest] | None = getattr(overlay.stack.view, "layers", None)
    if layers is None or not isinstance(found.node, Node):
        return None
    return layers[found.node.layer], found.node.offset


def _view_of(overlay: Overlay) -> Source:
    view = overlay.stack.view
    return ("view", getattr(view, "chain_id", view))


def _names_of(overlay: Overlay, directory: Found, index: int) -> set[bytes]:
    """Return the names in one source of a directory, removed ones included."""
    if index < len(directory.parts):
        part = directory.parts[index]
        layer = overlay.stack.dirs[part.layer]
        with longpath.lending():
            listed = list_real(layer.pinned(part.path), layer.marks)
        return listed.types.keys() | listed.whiteouts
    assert directory.node is not None  # the last source
    assert overlay.stack.view is not None  # it is an entry of that
    return {name for name, _ in overlay.stack.view.iter_children(directory.node.id)}

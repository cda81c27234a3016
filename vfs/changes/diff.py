"""The changes of a container as an OCI layer (`iter_layer`). For people, `rootlay.vfs.changes.compare` finds them.

1. The walk is that of the upper. A lower directory is listed only if it was renamed (its content belongs to the new
   name now) or was replaced by an opaque one; otherwise single names are looked up in the lower layers.
2. `iter_layer` gives entries in the order that umoci and containers-storage accept: a directory before its content;
   in a directory first the opaque mark (a flag of the directory's entry), then whiteouts, then names, each sorted.
   A whiteout is given only for a name that the layers below have.
3. A removed name of more than 251 bytes has no whiteout that fits a name: its directory is made opaque and written in
   full.
4. Sockets cannot be stored in a layer and are left out, as Docker does.
Specification: OCI image-spec, layer.md (whiteouts, opaque whiteouts, hard links).
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from typing import BinaryIO

from rootlay.store.disk.descent import Down, Walk, descend
from rootlay.store.model.entry import ENTRY_TYPES, Entry, EntryType
from rootlay.vfs.merge import longpath, xattr
from rootlay.vfs.merge.attributes import Attributes
from rootlay.vfs.merge.content import data_runs, open_content
from rootlay.vfs.merge.listing import iter_children, list_upper
from rootlay.vfs.merge.lookup import Found
from rootlay.vfs.merge.whiteout import is_long
from rootlay.vfs.overlay.overlay import Overlay

LayerItem = tuple[bytes, Entry, BinaryIO | None]


def iter_layer(overlay: Overlay) -> Iterator[LayerItem]:
    """Return the upper as an OCI layer: (path without leading slash, entry, content of a regular file).

    The root directory comes first, with an empty path. The content stream is valid until the next item is requested.
    Records are applied, redirects are expanded. Precondition: there is an upper, and no process changes it meanwhile.
    """
    with overlay.context.upper.locked():
        walk = _LayerWalk(overlay).walk(overlay.get(b"/"), opaque=False, whole=False)
        yield from longpath.scoped(descend(walk))


def iter_tree(overlay: Overlay, start: Found | None = None) -> Iterator[LayerItem]:
    """Return the whole merged tree, or the object at `start`, in the form and order of `iter_layer`. For exports."""
    walker = _LayerWalk(overlay)
    start = overlay.get(b"/") if start is None else start
    walk = walker.walk(start, opaque=False, whole=True) if start.is_dir else walker.one(start)
    yield from longpath.scoped(descend(walk))


class _LayerWalk:
    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay
        self._lookup = overlay.context.lookup
        self._first_names: dict[tuple[object, int], bytes] = {}

    def walk(self, directory: Found, *, opaque: bool, whole: bool) -> Walk[LayerItem]:
        """Walk a directory and its content. `whole`: the layers below do not have it at this path."""
        upper = list_upper(self._lookup, directory.path) if not whole else None
        removed = self._removed(directory, upper.whiteouts - upper.types.keys()) if upper is not None else []
        if any(is_long(name) for name in removed):
            upper, opaque, whole, removed = None, True, True, []
        yield self._name(directory), self._entry(directory, opaque=opaque), None
        for name in removed:
            yield self._name(directory) + b"/" * bool(directory.path) + name, Entry(EntryType.WHITEOUT), None
        if upper is None:
            children = iter_children(self._lookup, directory)
        else:
            children = self._upper_children(directory, sorted(upper.types))
        for found in children:
            yield from self._object(found, whole)

    def _removed(self, directory: Found, names: set[bytes]) -> list[bytes]:
        """Return the names of whiteouts that hide something."""
        return [name for name in sorted(names) if self._lookup.lower_child(directory, name) is not None]

    def _upper_children(self, directory: Found, names: list[bytes]) -> Iterator[Found]:
        for name in names:
            found = self._lookup.child(directory, name)
            if found is not None:
                yield found

    def one(self, found: Found) -> Walk[LayerItem]:
        """Return one object that is not a directory."""
        yield from self._object(found, True)

    def _object(self, found: Found, whole: bool) -> Walk[LayerItem]:
        if found.is_dir:
            assert found.parent is not None  # only the root has no parent
            below = None if whole else self._lookup.lower_child(found.parent, found.name)
            covers = below is not None and below.is_dir
            # A merge at the directory's own path needs only the content of the upper; all others are written in full.
            merges = not whole and found.record.redirect is None and found.below is not None
            full = not (merges and covers)
            yield Down(self.walk(found, opaque=full and covers, whole=full))
            return
        if stat.S_ISSOCK(found.mode):
            return
        attributes = self._overlay.context.attributes(found)
        if attributes.nlink > 1:
            key = self._identity(found)
            first = self._first_names.setdefault(key, self._name(found))
            if first != self._name(found):
                # With the file's own attributes: containers/storage sets them on the file again.
                entry = Entry(
                    EntryType.HARDLINK,
                    mode=attributes.permissions,
                    uid=attributes.uid,
                    gid=attributes.gid,
                    mtime_ns=attributes.mtime_ns,
                    link=first,
                )
                yield self._name(found), entry, None
                return
        if not found.is_file:
            yield self._name(found), self._entry(found), None
            return
        with open_content(self._overlay.stack, found) as stream:
            yield self._name(found), self._file_entry(found, attributes, stream), stream

    def _file_entry(self, found: Found, attributes: Attributes, stream: BinaryIO) -> Entry:
        runs = data_runs(self._overlay.stack, found, stream, attributes.size)
        holes = runs != ((0, attributes.size),) and attributes.size > 0
        stream.seek(0)
        return self._entry(found, sparse=runs if holes else None)

    @staticmethod
    def _identity(found: Found) -> tuple[object, int]:
        if found.real is not None:
            return (found.parts[0].layer, found.real.st_dev), found.real.st_ino
        assert found.node is not None  # an object has a part or a node
        return "view", found.node.ino

    @staticmethod
    def _name(found: Found) -> bytes:
        return found.path[1:]

    def _entry(self, found: Found, *, opaque: bool = False, sparse: tuple[tuple[int, int], ...] | None = None) -> Entry:
        shown = self._overlay.context.attributes(found)
        return Entry(
            type=ENTRY_TYPES[stat.S_IFMT(shown.mode)],
            mode=shown.permissions,
            uid=shown.uid,
            gid=shown.gid,
            size=shown.size if found.is_file else 0,
            mtime_ns=shown.mtime_ns,
            major=shown.rdev_major,
            minor=shown.rdev_minor,
            link=self._overlay.context.resolver.target(found) if found.is_link else b"",
            xattrs=tuple(xattr.all_xattrs(self._overlay.stack, found).items()),
            sparse=sparse,
            opaque=opaque,
        )

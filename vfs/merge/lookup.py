"""The look-up of a name in a directory: the rules of reading of docs/format.md §6.

1. Layers from top to bottom; the first that has the name or its whiteout decides.
2. Two directories merge unless the upper one is opaque. A non-directory hides everything below.
3. A redirect replaces a merge. Its path is looked up in the layers below the layer that holds it, through
   further redirects there; links are not followed.
4. Nothing is cached: several processes may change the upper at the same time.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from functools import cached_property

from rootlay.store.model.entry import TYPE_BITS
from rootlay.store.model.value import replace, value
from rootlay.vfs.merge.record import NO_RECORD, Record
from rootlay.vfs.merge.stack import LowerNode, Stack


@value
class Part:
    """A contributing real object: directory layer number, path in that layer (`b""` is its root)."""

    layer: int
    path: bytes


@value(slots=False)
class Found:
    """An object of the merged tree.

    `path` is its canonical virtual path (`b""` for the root). `parts` are the directory layers that have it, top first
    (exactly one for a non-directory); `node` is the view's entry if that contributes. `real` and `record` are those of
    the first part. `below` is the path that finds the lower part of a directory in the layers under the first; None if
    the first layer hides it.
    """

    parent: Found | None
    name: bytes
    path: bytes
    parts: tuple[Part, ...]
    node: LowerNode | None
    below: bytes | None
    real: os.stat_result | None = None
    record: Record = NO_RECORD

    @cached_property
    def mode(self) -> int:
        """st_mode: type and permission bits."""
        if self.record.mode is not None:
            return self.record.mode
        if self.real is not None:
            return self.real.st_mode
        assert self.node is not None  # an object has a part or a node
        return TYPE_BITS[self.node.type] | stat.S_IMODE(self.node.mode)

    @property
    def is_dir(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    def is_in(self, layer: int) -> bool:
        """Return whether a directory layer contributes."""
        return any(part.layer == layer for part in self.parts)

    @property
    def merges(self) -> bool:
        """Whether a directory consists of more than one real or view directory."""
        return len(self.parts) + (self.node is not None) > 1


class Lookup:
    """The rules of reading over one stack. Immutable; safe for threads."""

    def __init__(self, stack: Stack, prepare: Callable[[], None] | None = None) -> None:
        """Args:
        prepare: called at the beginning of each search that includes the first layer.
        """
        self.stack = stack
        self._prepare = prepare

    def root(self, base: int = 0) -> Found:
        """Return the root directory of the layers from number `base` on."""
        if base == 0 and self._prepare is not None:
            self._prepare()
        parts: list[Part] = []
        node = self.stack.view.root if self.stack.view is not None else None
        for number, layer in enumerate(self.stack.dirs[base:], base):
            parts.append(Part(number, b""))
            if layer.marks and layer.is_opaque(b""):
                node = None
                break
        opaque_top = len(parts) == 1 and node is None
        real, record = None, NO_RECORD
        if parts:
            top = self.stack.dirs[parts[0].layer]
            real = top.lstat(b"")
            record = top.record(b"", b"") if top.marks else NO_RECORD
            if base == 0 and self.stack.writable and record.mode is None:
                record = self._inherited(record, parts[1:2], node)
        return Found(None, b"", b"", tuple(parts), node, None if opaque_top else b"", real, record)

    def _inherited(self, record: Record, below: list[Part], node: LowerNode | None) -> Record:
        """Return the attributes of the upper's root: mode and owner of the lower root until its record names a mode."""
        mode, uid, gid = None, None, None
        if below:
            lower = self.root(below[0].layer)
            assert lower.real is not None  # it has that part
            mode = lower.mode
            uid, gid = self.stack.ownership.shown(lower.real, self.stack.dirs[below[0].layer])
            uid = uid if lower.record.uid is None else lower.record.uid
            gid = gid if lower.record.gid is None else lower.record.gid
        elif node is not None:
            mode, uid, gid = TYPE_BITS[node.type] | stat.S_IMODE(node.mode), node.uid, node.gid
        return replace(
            record,
            mode=mode,
            uid=uid if record.uid is None else record.uid,
            gid=gid if record.gid is None else record.gid,
        )

    def child(self, directory: Found, name: bytes) -> Found | None:
        """Return the object of `name` in a directory; None if there is none. Precondition: not a reserved name."""
        path = directory.path + b"/" + name
        below = None if directory.below is None else directory.below + b"/" + name
        parts: list[Part] = []
        real, record = None, NO_RECORD
        node: LowerNode | None = None
        for part in directory.parts:
            layer = self.stack.dirs[part.layer]
            place = part.path + b"/" + name
            found = layer.find_stat(place)
            if found is None:
                if layer.marks and layer.has_whiteout(part.path, name):
                    below = None if part.layer == directory.parts[0].layer else below
                    break
                continue
            own = layer.record(part.path, name, found) if layer.marks else NO_RECORD
            if not stat.S_ISDIR(found.st_mode):
                if not parts:
                    return Found(directory, name, path, (Part(part.layer, place),), None, None, found, own)
                break
            if not parts:
                real, record = found, own
            parts.append(Part(part.layer, place))
            if own.redirect is not None:
                below = own.redirect if len(parts) == 1 else below
                lower = self.walk(own.redirect, part.layer + 1)
                if lower is not None and lower.is_dir:
                    parts.extend(lower.parts)
                    node = lower.node
                break
            if layer.marks and layer.is_opaque(place):
                below = None if len(parts) == 1 else below
                break
        else:
            node = self._view_child(directory, name, bool(parts))
        if not parts and node is None:
            return None
        return Found(directory, name, path, tuple(parts), node, below, real, record)

    def lower_child(self, directory: Found, name: bytes) -> Found | None:
        """Return the object of `name` without the directory's first layer: the one that a removal would uncover."""
        return self.child(self.lower(directory), name)

    def lower(self, directory: Found) -> Found:
        """Return a directory without the part in the writable layer."""
        if not directory.is_in(0):
            return directory
        return Found(
            directory.parent, directory.name, directory.path, directory.parts[1:], directory.node, directory.below
        )

    def walk(self, path: bytes, base: int) -> Found | None:
        """Return the object at an absolute path in the layers from number `base` on, without following links."""
        here = self.root(base)
        for name in path.split(b"/"):
            if not name:
                continue
            if not here.is_dir:
                return None
            found = self.child(here, name)
            if found is None:
                return None
            here = found
        return here

    def _view_child(self, directory: Found, name: bytes, merging: bool) -> LowerNode | None:
        if directory.node is None or self.stack.view is None:
            return None
        node = self.stack.view.find(directory.node.id, name)
        if node is None or (merging and not stat.S_ISDIR(TYPE_BITS[node.type])):
            return None
        return node

"""Merge of several directory layers with marks into one: for a stack of frozen uppers that is too high.

Rules:
1. The new layer over the rest of a stack shows what the old ones over that rest showed (docs/format.md §6), whatever
   the rest is: it is never read. Takes time proportional to the content of the old layers.
2. Nothing is shared with the old layers, which other containers may still use: files are copied (with a reflink if the
   file system has it), because a hard link would show in st_nlink. Hard links inside one layer stay hard links.
3. A directory needs a redirect if its lower part is not at its own path below its parent's, and an opaque mark if it
   has no lower part and its parent has one.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from rootlay.store.disk.descent import Down, Walk, finish
from rootlay.store.disk.walktree import iter_tree, names_below
from rootlay.store.model.progress import Counted, Meter, Progress, silent
from rootlay.store.model.value import replace, value
from rootlay.vfs.merge import longpath
from rootlay.vfs.merge.content import copy_content
from rootlay.vfs.merge.filerecord import OWN, find_record
from rootlay.vfs.merge.listing import list_real
from rootlay.vfs.merge.lookup import Found, Part
from rootlay.vfs.merge.record import NO_RECORD, Record
from rootlay.vfs.merge.stack import DirLayer, Stack
from rootlay.vfs.overlay.upper import Upper, split


@value
class _Node:
    """The state of a path in the layers: contributing parts, top first, and its path below them (None: nowhere)."""

    parts: tuple[Part, ...]
    rest: bytes | None
    record: Record = NO_RECORD
    real: os.stat_result | None = None

    @property
    def is_dir(self) -> bool:
        return self.real is None or stat.S_ISDIR(self.real.st_mode)


_NOTHING = _Node((), None)


def flatten(layers: Sequence[DirLayer], target: Path, bloom: Path, progress: Progress = silent) -> None:
    """Write the layers (top first, all with marks) as one into an empty directory; set the bits of its Bloom filter.

    A crash leaves a half-made directory without references.
    """
    if layers[0].form.owner is not None:
        layers[0].form.store(target)
    upper = Upper(Stack((DirLayer.at(target, writable=True, bloom=bloom),)))
    try:
        names = Meter(
            progress, Counted("names of snapshots"), lambda: sum(names_below(layer.real(b"")) for layer in layers)
        )
        _Flattening(tuple(layers), upper, names).run()
        upper.announce_all()
    finally:
        upper.close()


def has_redirects(layer: DirLayer) -> bool:
    """Return whether a record in a layer redirects a directory. Scans the layer."""
    for fd, entry in iter_tree(layer.real(b"")):
        if layer.form.in_files and entry.is_dir(follow_symlinks=False):
            held = find_record(b"/proc/self/fd/%d/%s" % (fd, os.fsencode(entry.name)))
            if held is not None and held.redirect is not None:
                return True
        if entry.name.startswith(".wh..wh.") and entry.is_symlink():
            text = os.readlink(os.fsencode(entry.name), dir_fd=fd)
            if text.startswith(b"r=") or b";r=" in text:
                return True
    return False


class _Flattening:
    def __init__(self, layers: tuple[DirLayer, ...], upper: Upper, names: Meter) -> None:
        self._names = names
        self._layers = layers
        self._stack = Stack(layers)
        self._upper = upper
        self._links: dict[tuple[int, int, int], bytes] = {}

    def run(self) -> None:
        root = self._root(0)
        top = self._layers[0]
        finish(self._fill(root, b""))
        if root.rest is None:
            self._upper.set_opaque(b"")
        self._dress(_Node(root.parts, root.rest, top.record(b"", b""), os.lstat(top.real(b""))), b"", None)

    def _root(self, base: int) -> _Node:
        parts: list[Part] = []
        for number, layer in enumerate(self._layers[base:], base):
            parts.append(Part(number, b""))
            if layer.is_opaque(b""):
                return _Node(tuple(parts), None)
        return _Node(tuple(parts), b"")

    def _child(self, directory: _Node, name: bytes) -> _Node:
        """Look up as `Lookup.child`, with the path in the layers below these. Without parts: not in these layers."""
        parts: list[Part] = []
        first: _Node = _NOTHING
        for part in directory.parts:
            layer = self._layers[part.layer]
            place = part.path + b"/" + name
            real = layer.find_stat(place)
            if real is None:
                if layer.has_whiteout(part.path, name):
                    return replace(first, parts=tuple(parts), rest=None)
                continue
            record = layer.record(part.path, name, real)
            if not stat.S_ISDIR(real.st_mode):
                cut = replace(first, parts=tuple(parts))
                return cut if parts else _Node((Part(part.layer, place),), None, record, real)
            if not parts:
                first = _Node((), None, record, real)
            parts.append(Part(part.layer, place))
            if record.redirect is not None:
                lower = self._walk(record.redirect, part.layer + 1)
                return replace(first, parts=(*parts, *lower.parts), rest=lower.rest)
            if layer.is_opaque(place):
                return replace(first, parts=tuple(parts), rest=None)
        rest = None if directory.rest is None else directory.rest + b"/" + name
        return replace(first, parts=tuple(parts), rest=rest)

    def _walk(self, path: bytes, base: int) -> _Node:
        here = self._root(base)
        for name in path.split(b"/"):
            if name:
                here = self._child(here, name)
                if not here.is_dir:
                    return _NOTHING
        return here

    def _fill(self, directory: _Node, path: bytes) -> Walk[None]:
        names: set[bytes] = set()
        whiteouts: set[bytes] = set()
        with longpath.operation():
            for part in directory.parts:
                listed = list_real(self._layers[part.layer].pinned(part.path), True)
                names |= listed.types.keys()
                whiteouts |= listed.whiteouts
        for name in sorted(names | whiteouts):
            self._names.add(1)
            place = path + b"/" + name
            with longpath.operation():
                child = self._child(directory, name)
                if not child.parts:
                    if directory.rest is not None:
                        self._upper.add_whiteout(place)
                elif not child.is_dir:
                    self._object(child, place)
                else:
                    os.mkdir(self._upper.real(place), 0o700)
            if child.parts and child.is_dir:
                yield Down(self._fill(child, place))
                with longpath.operation():
                    self._finish_directory(directory, child, place)

    def _finish_directory(self, parent: _Node, child: _Node, place: bytes) -> None:
        redirect = None
        if child.rest is None:
            if parent.rest is not None:
                self._upper.set_opaque(place)
        elif parent.rest is None or child.rest != parent.rest + b"/" + split(place)[1]:
            redirect = child.rest
        self._dress(child, place, redirect)

    def _object(self, child: _Node, place: bytes) -> None:
        part, real = child.parts[0], child.real
        assert real is not None  # it is not a directory
        key = (part.layer, real.st_dev, real.st_ino)
        first = self._links.setdefault(key, place) if real.st_nlink > 1 else place
        if first != place:
            os.link(self._upper.real(first), self._upper.real(place), follow_symlinks=False)
            self._upper.write_record(place, replace(child.record, linked=None))
            return
        source, target = self._layers[part.layer].real(part.path), self._upper.real(place)
        kind = stat.S_IFMT(real.st_mode)
        if kind == stat.S_IFLNK:
            os.symlink(os.readlink(source), target)
        elif kind == stat.S_IFREG:
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                if real.st_size:
                    copy_content(self._stack, Found(None, b"", b"", (part,), None, None, real), descriptor)
            finally:
                os.close(descriptor)
        else:
            os.mknod(target, kind | 0o600)
        self._dress(child, place, None)

    def _dress(self, child: _Node, place: bytes, redirect: bytes | None) -> None:
        """Set record, xattrs, mode and times, in this order: setting the others changes the times."""
        part, real = child.parts[0], child.real
        assert real is not None  # it has a part
        self._upper.write_record(place, replace(child.record, redirect=redirect, linked=None))
        source, target = self._layers[part.layer].real(part.path), self._upper.real(place)
        if stat.S_ISREG(real.st_mode) or stat.S_ISDIR(real.st_mode):
            for name in os.listxattr(source, follow_symlinks=False):
                if name.startswith("user.") and not name.startswith(OWN.decode()):
                    os.setxattr(target, name, os.getxattr(source, name, follow_symlinks=False))
        if not stat.S_ISLNK(real.st_mode):
            os.chmod(target, real.st_mode & 0o1777)  # set-id bits are never real
        os.utime(target, ns=(real.st_atime_ns, real.st_mtime_ns), follow_symlinks=False)

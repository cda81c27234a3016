"""What a tree looks like, the same for an overlay and for a plain directory."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rootlay.store.model.entry import Entry, EntryType
from rootlay.vfs.changes.change import Change
from rootlay.vfs.changes.compare import compare
from rootlay.vfs.merge.stack import DirLayer, Stack
from rootlay.vfs.overlay.overlay import Overlay
from tests.support.oracles.memory_view import LayerEntry


@dataclass(frozen=True)
class Shape:
    """One object, as far as both sides must agree. `nlink` of directories is nobody's promise."""

    mode: int
    nlink: int
    size: int
    content: bytes
    group: bytes  # the first name of the file


def shape_of_overlay(overlay: Overlay) -> dict[bytes, Shape]:
    """Every path of an overlay, content read without hydrating."""
    shapes: dict[bytes, Shape] = {}
    groups: dict[int, bytes] = {}
    pending = [b""]
    while pending:
        path = pending.pop(0)
        attributes = overlay.lstat(path or b"/")
        content = b""
        if stat.S_ISREG(attributes.mode):
            with overlay.open_content(path) as stream:
                content = stream.read()
            assert attributes.size == len(content), path
        elif stat.S_ISLNK(attributes.mode):
            content = overlay.readlink(path)
        elif attributes.is_dir:
            listed = overlay.scandir(path or b"/")
            assert [entry.name for entry in listed] == sorted({entry.name for entry in listed})
            for entry in listed:
                child = path + b"/" + entry.name
                assert stat.S_IFMT(overlay.lstat(child).mode) == entry.type, child
                pending.append(child)
        group = path if attributes.is_dir else groups.setdefault(attributes.ino, path)
        shapes[path] = Shape(
            attributes.mode, 0 if attributes.is_dir else attributes.nlink, len(content), content, group
        )
    return shapes


def shape_of_directory(root: Path) -> dict[bytes, Shape]:
    """Every path of a plain directory."""
    shapes: dict[bytes, Shape] = {}
    groups: dict[int, bytes] = {}
    base = os.fsencode(root)
    pending = [b""]
    while pending:
        path = pending.pop(0)
        info = os.lstat(base + path)
        content = b""
        if stat.S_ISREG(info.st_mode):
            content = Path(os.fsdecode(base + path)).read_bytes()
        elif stat.S_ISLNK(info.st_mode):
            content = os.readlink(base + path)
        else:
            pending.extend(path + b"/" + name for name in sorted(os.listdir(base + path)))
        is_dir = stat.S_ISDIR(info.st_mode)
        group = path if is_dir else groups.setdefault(info.st_ino, path)
        shapes[path] = Shape(info.st_mode, 0 if is_dir else info.st_nlink, len(content), content, group)
    return shapes


def outcome(call: Callable[[], object]) -> object:
    """What a call returns, or the errno that it raises."""
    try:
        return call()
    except OSError as error:
        return os.strerror(error.errno or 0)


def layer_of(overlay: Overlay) -> list[LayerEntry]:
    """A whole tree as one layer, hard links kept."""
    kinds = {stat.S_IFDIR: EntryType.DIRECTORY, stat.S_IFREG: EntryType.FILE, stat.S_IFLNK: EntryType.SYMLINK}
    layer: list[LayerEntry] = []
    attributes: dict[bytes, Any] = attributes_of(overlay)
    for path, shape in shape_of_overlay(overlay).items():
        if shape.group != path:
            layer.append((path[1:], Entry(EntryType.HARDLINK, link=shape.group[1:]), None))
            continue
        kind = kinds[stat.S_IFMT(shape.mode)]
        link = shape.content if kind is EntryType.SYMLINK else b""
        _, uid, gid, mtime_ns, _, _, xattrs = attributes[path]
        mode = stat.S_IMODE(shape.mode)
        entry = Entry(kind, mode=mode, uid=uid, gid=gid, size=shape.size, mtime_ns=mtime_ns, link=link, xattrs=xattrs)
        layer.append((path[1:], entry, shape.content if kind is EntryType.FILE else None))
    return layer


def check_order(layer: list[LayerEntry]) -> None:
    """Directories before their content, whiteouts before the other names of their directory, nothing twice."""
    seen: set[bytes] = set()
    others: set[bytes] = set()
    for path, entry, _ in layer:
        parent = path.rpartition(b"/")[0]
        assert path not in seen, path
        assert not path or parent in seen, f"parent comes later: {path!r}"
        seen.add(path)
        if entry.type is EntryType.WHITEOUT:
            assert parent not in others, f"whiteout comes late: {path!r}"
        elif path:
            others.add(parent)


def iter_changes(overlay: Overlay) -> Iterator[Change]:
    """What `rootlay diff` says of an overlay with an upper, against the layers below it."""
    stack = overlay.stack
    with tempfile.TemporaryDirectory() as nothing:
        lowers = stack.dirs[1:] or (() if stack.view is not None else (DirLayer.at(nothing),))
        with Overlay(Stack(lowers, stack.view, stack.hydrator)) as below:
            yield from compare(below, overlay)


def check_changes(changes: Mapping[bytes, str], before: dict[bytes, Shape], after: dict[bytes, Shape]) -> None:
    """Every line of a diff is true; every difference has a line, itself or that of the directory that came or went."""
    for path, kind in changes.items():
        assert (path in before, path in after) == {"A": (False, True), "C": (True, True), "D": (True, False)}[kind], (
            path
        )
        parent = path.rpartition(b"/")[0]
        assert not parent or parent in changes, f"{path!r} is listed, its directory is not"
    for path in before.keys() | after.keys():
        if (path and (path in before) != (path in after)) or (path and before[path].content != after[path].content):
            assert any(above in changes for above in _and_above(path)), path


def _and_above(path: bytes) -> list[bytes]:
    parts = path.split(b"/")[1:]
    return [b"/" + b"/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def attributes_of(overlay: Overlay) -> dict[bytes, tuple[object, ...]]:
    """What a commit has to keep of every path beyond its shape."""
    found: dict[bytes, tuple[object, ...]] = {}
    for path in shape_of_overlay(overlay):
        a = overlay.lstat(path or b"/")
        names = overlay.listxattr(path or b"/", follow=False)
        xattrs = tuple((name, overlay.getxattr(path or b"/", name, follow=False)) for name in names)
        found[path] = (a.mode, a.uid, a.gid, a.mtime_ns, a.rdev_major, a.rdev_minor, xattrs)
    return found

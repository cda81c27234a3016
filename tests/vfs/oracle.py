"""What a tree looks like, the same for an overlay and for a plain directory."""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rootlay.vfs.overlay import Overlay


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
        else:
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

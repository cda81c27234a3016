"""Writer of launch files and Bloom filters (docs/format.md sections 7 and 8), independent of the engine's own."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.boxes.viewfile import fnv, mix

UPPER, MARKS, ATTRIBUTES, OWNER = 1, 2, 8, 16
RECORD = "user.rootlay.record"
BIND_RO, BIND_PROC, BIND_OWNER, BIND_RECORDS = 1, 2, 4, 128
BITS_LOG2, NEAR_LOG2 = 23, 17


class Bloom:
    """The filter of an upper, as a file that the core maps."""

    def __init__(self, path: Path) -> None:
        self.path = path
        header = struct.pack("<8sII48s", b"RLBLOOM1", 5, BITS_LOG2, b"")
        with path.open("wb") as f:
            f.write(header)
            f.truncate(64 + (1 << (BITS_LOG2 - 3)))

    def add(self, path: bytes, kind: bytes = b"") -> None:
        h = mix(fnv(path + kind))
        with self.path.open("r+b") as f:
            for bit in (h & ((1 << NEAR_LOG2) - 1), (h >> 32) & ((1 << BITS_LOG2) - 1)):
                at = 64 + (bit >> 6) * 8
                f.seek(at)
                word = int.from_bytes(f.read(8), "little") | 1 << (bit & 63)
                f.seek(at)
                f.write(word.to_bytes(8, "little"))

    def add_redirect(self, record: bytes) -> None:
        _, redirected, target = record.partition(b"r=")
        if redirected:
            self.add(b"", b"\3")
            self.add(target, b"\3")

    def add_held(self, real: bytes, path: bytes) -> None:
        """The record in a file or directory."""
        with contextlib.suppress(OSError):
            held = os.getxattr(real, RECORD, follow_symlinks=False)
            self.add(path, b"\0")
            self.add_redirect(held)

    def add_tree(self, root: Path) -> None:
        """Everything that is in a directory tree with marks."""
        base = os.fsencode(root)
        self.add_held(base, b"")
        for folder, dirs, files in os.walk(base):
            here = folder[len(base) :]
            for name in [*dirs, *files]:
                if name == b".wh..wh..opq":
                    self.add(here, b"\1")
                elif name.startswith(b".wh..wh.m."):
                    self.add(here + b"/" + name[10:] if name[10:] else here, b"\0")
                    self.add_redirect(os.readlink(os.path.join(folder, name)))
                elif name.startswith((b".wh..wh.n.", b".wh..wh.l.")):
                    continue  # a record, of which names is not known here
                elif name.startswith(b".wh..wh.w."):
                    self.add(here + b"/" + os.readlink(os.path.join(folder, name)))
                elif name.startswith(b".wh."):
                    self.add(here + b"/" + name[4:])
                else:
                    self.add(here + b"/" + name)
                    self.add_held(os.path.join(folder, name), here + b"/" + name)


@dataclass(frozen=True)
class Dir:
    path: str
    flags: int = 0
    bloom: str = ""
    owner: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Bind:
    vpath: str
    host: str
    flags: int = 0


@dataclass(frozen=True)
class Launch:
    dirs: Sequence[Dir]
    view: str = ""
    trees: Sequence[str] = ()
    binds: Sequence[Bind] = ()
    hydrator: str = ""
    lock: str = ""
    host: tuple[int, int] = (0, 0)
    map: tuple[int, int] = (0, 0)
    st_dev: int = 0

    def pack(self) -> bytes:
        dirs_at = 256
        trees_at = dirs_at + 32 * len(self.dirs)
        binds_at = trees_at + 8 * len(self.trees)
        texts_at = binds_at + 32 * len(self.binds)
        texts = bytearray()

        def text(s: str) -> bytes:
            raw = os.fsencode(s)
            at = texts_at + len(texts)
            texts.extend(raw + b"\0")
            return struct.pack("<II", at, len(raw))

        dirs = b"".join(text(d.path) + text(d.bloom) + struct.pack("<3I4x", d.flags, *d.owner) for d in self.dirs)
        trees = b"".join(text(t) for t in self.trees)
        ordered = sorted(self.binds, key=lambda b: -len(os.fsencode(b.vpath)))
        binds = b"".join(text(b.vpath) + text(b.host) + struct.pack("<I12x", b.flags) for b in ordered)
        strings = text(self.view) + text("/nonexistent/engine") + text(self.hydrator) + text(self.lock)
        tail = text("") + text("test") + text("")
        upper = 4 if self.dirs and self.dirs[0].flags & UPPER else 0
        head = struct.pack(
            "<8s10I",
            b"RLLAUNC1",
            1,
            texts_at + len(texts),
            upper,
            len(self.dirs),
            dirs_at,
            len(self.trees),
            trees_at,
            len(self.binds),
            binds_at,
            0,
        )[:44]
        head += strings + struct.pack("<5I", *self.host, *self.map, 0) + struct.pack("<Q", self.st_dev) + tail
        return head.ljust(256, b"\0") + dirs + trees + binds + bytes(texts)

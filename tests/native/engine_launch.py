"""Writes launch files (docs/format.md §8) for tests of the C parts."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

PATCH, TRACE, UPPER = 1, 2, 4
CONFINE, REQUIRE, UNSCOPED, NO_NETWORK = 256, 512, 1024, 2048
DIR_UPPER, DIR_MARKS, DIR_ATTRIBUTES = 1, 2, 8
BIND_RO, BIND_PROC, BIND_OWNER = 1, 2, 4

_HEADER = struct.Struct("<8s2I 7I 8I 4I I Q 6I 120x2I")
_DIR = struct.Struct("<5I12x")
_VIEW_LAYER = struct.Struct("<2I")
_BIND = struct.Struct("<5I12x")


@dataclass(frozen=True, slots=True)
class Dir:
    """A directory layer, top first in the launch file."""

    path: bytes
    bloom: bytes = b""
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Bind:
    """A host path visible inside."""

    vpath: bytes
    host: bytes
    flags: int = 0


#: What a program needs of the host: the kernel's own file systems.
KERNEL_BINDS = (Bind(b"/proc", b"/proc", BIND_PROC), Bind(b"/dev", b"/dev"), Bind(b"/sys", b"/sys"))


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch file's fields; `pack` gives its bytes."""

    engine: bytes
    dirs: tuple[Dir, ...]
    binds: tuple[Bind, ...] = KERNEL_BINDS
    view: bytes = b""
    view_layers: tuple[bytes, ...] = ()
    hydrator: bytes = b""
    lock: bytes = b""
    flags: int = 0
    host: tuple[int, int] = (0, 0)
    mapped: tuple[int, int] = (0, 0)
    st_dev: int = 0
    trace: bytes = b""
    container_id: bytes = b"test"
    hostname: bytes = b""
    alias: bytes = b""
    strings: bytearray = field(default_factory=bytearray, init=False)

    def pack(self) -> bytes:
        """The file's bytes."""
        tables = len(self.dirs) * _DIR.size + len(self.view_layers) * _VIEW_LAYER.size + len(self.binds) * _BIND.size
        start = _HEADER.size + tables
        self.strings[:] = b"\0"

        def text(value: bytes) -> tuple[int, int]:
            offset = start + len(self.strings)
            self.strings.extend(value + b"\0")
            return (offset, len(value)) if value else (start, 0)

        binds = sorted(self.binds, key=lambda b: -len(b.vpath))
        body = b"".join(_DIR.pack(*text(d.path), *text(d.bloom), d.flags) for d in self.dirs)
        off_view_layers = _HEADER.size + len(body)
        body += b"".join(_VIEW_LAYER.pack(*text(path)) for path in self.view_layers)
        off_binds = _HEADER.size + len(body)
        body += b"".join(_BIND.pack(*text(b.vpath), *text(b.host), b.flags) for b in binds)
        fixed = [*text(self.view), *text(self.engine), *text(self.hydrator), *text(self.lock)]
        text_of_alias = text(self.alias)
        names = [*text(self.trace), *text(self.container_id), *text(self.hostname)]
        header = _HEADER.pack(
            b"RLLAUNC1", 1, start + len(self.strings), self.flags, len(self.dirs), _HEADER.size,
            len(self.view_layers), off_view_layers, len(binds), off_binds, *fixed, *self.host, *self.mapped,
            0, self.st_dev, *names, *text_of_alias,
        )  # fmt: skip
        return header + body + bytes(self.strings)

    def write(self, path: Path) -> Path:
        """Write the file and return its path."""
        path.write_bytes(self.pack())
        return path

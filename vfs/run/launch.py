"""The launch file: all settings that the engine needs for one container, in one mapped file.

Rules:
1. The layout is docs/format.md §8; `store/csrc/abi.h` holds the same structures, and a test compares them.
2. This module turns values into bytes. Writing them is the session's business, but for an address that a container
   gets while its programs run.
3. This code runs at every `rootlay run`: heavy modules must not be imported here.
"""

from __future__ import annotations

import os
import struct

from rootlay.store.model.value import value

MAGIC = b"RLLAUNC1"
VERSION = 1
HEADER_BYTES = 256
DIR_BYTES = 32
LAYER_BYTES = 8
BIND_BYTES = 32
PORT_BYTES = 32
MAX_DIRS = 32
MAX_BINDS = 256

FLAG_PATCH = 1
FLAG_TRACE = 2
FLAG_UPPER = 4
FLAG_CONFINE = 256
FLAG_REQUIRE = 512
FLAG_UNSCOPED = 1024
FLAG_NO_NETWORK = 2048
FLAG_INTERNAL = 4096
FLAG_PLAIN_NAMES = 8192
FLAGS_PLACE = 16
ADDRESS_PLACE = 152
DIR_UPPER = 1
DIR_MARKS = 2
DIR_WAYS = 4
DIR_ATTRIBUTES = 8
DIR_OWNER = 16
BIND_READ_ONLY = 1
BIND_PROC = 2
BIND_OWNER = 4
BIND_GIVEN = 8
BIND_MODE = 16
BIND_SHOWN = 32
BIND_UNLISTED = 64
BIND_RECORDS = 128
BIND_LINK = 256

SYSTEM_BINDS = ("/proc", "/sys", "/dev")
"""The host's directories that every container shows."""

DEVICE_LINKS = {
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
}
"""Links that every container has, like Docker's, also where the host's /dev lacks them."""


@value
class LaunchDir:
    """One directory layer: its real path (the host's root is empty), its bloom file, its DIR_* flags.

    `uid` and `gid` apply with DIR_OWNER.
    """

    path: bytes
    bloom: bytes = b""
    flags: int = 0
    uid: int = 0
    gid: int = 0


@value
class LaunchBind:
    """A host path visible inside. Both paths absolute, without a trailing slash; BIND_* flags.

    `uid` and `gid` apply with BIND_GIVEN, `mode` with BIND_MODE. With BIND_LINK, `host` is the target of a link.
    """

    vpath: bytes
    host: bytes
    flags: int = 0
    uid: int = 0
    gid: int = 0
    mode: int = 0


@value
class LaunchPort:
    """A port that a program binds inside, and the port that it gets. `addr`: 4, 16 or, for every address, 0 bytes."""

    protocol: int
    inside: int
    outside: int
    addr: bytes = b""


@value
class Launch:
    """The fields of docs/format.md §8. Paths are real, canonical host paths as bytes."""

    engine: bytes
    dirs: tuple[LaunchDir, ...] = ()
    layers: tuple[bytes, ...] = ()
    binds: tuple[LaunchBind, ...] = ()
    view: bytes = b""
    hydrator: bytes = b""
    lock: bytes = b""
    host_uid: int = 0
    host_gid: int = 0
    map_uid: int = 0
    map_gid: int = 0
    st_dev: int = 0
    flags: int = 0
    trace: bytes = b""
    container_id: bytes = b""
    hostname: bytes = b""
    ports: tuple[LaunchPort, ...] = ()
    alias: bytes = b""
    view_offset: int = 0
    view_bytes: int = 0
    address: bytes = bytes(4)
    gateway: bytes = bytes(4)
    addresses: bytes = b""
    table: bytes = b""

    def pack(self) -> bytes:
        """Return the file's bytes.

        Raises:
            ValueError: more directory layers or binds than the engine supports, or a path with a NUL byte.
        """
        if len(self.dirs) > MAX_DIRS:
            raise ValueError(f"{len(self.dirs)} directory layers: the engine supports {MAX_DIRS}")
        if len(self.binds) > MAX_BINDS:
            raise ValueError(f"{len(self.binds)} mounts: the engine supports {MAX_BINDS}")
        off_ports = (
            HEADER_BYTES + DIR_BYTES * len(self.dirs) + LAYER_BYTES * len(self.layers) + BIND_BYTES * len(self.binds)
        )
        pool = _Pool(off_ports + PORT_BYTES * len(self.ports))
        off_dirs = HEADER_BYTES
        off_layers = off_dirs + DIR_BYTES * len(self.dirs)
        off_binds = off_layers + LAYER_BYTES * len(self.layers)
        tables = [struct.pack("<7I4x", *pool.add(d.path), *pool.add(d.bloom), d.flags, d.uid, d.gid) for d in self.dirs]
        tables += [struct.pack("<II", *pool.add(path)) for path in self.layers]
        binds = sorted(self.binds, key=lambda bind: (-len(bind.vpath), bind.vpath))
        tables += [
            struct.pack("<8I", *pool.add(b.vpath), *pool.add(b.host), b.flags, b.uid, b.gid, b.mode) for b in binds
        ]
        tables += [
            struct.pack("<IIII16s", p.protocol, p.inside, p.outside, {0: 0, 4: 4, 16: 6}[len(p.addr)], p.addr)
            for p in self.ports
        ]
        strings = [pool.add(text) for text in (self.view, self.engine, self.hydrator, self.lock)]
        tail = [pool.add(text) for text in (self.trace, self.container_id, self.hostname)]
        alias, addresses, table = pool.add(self.alias), pool.add(self.addresses), pool.add(self.table)
        counts = (len(self.dirs), off_dirs, len(self.layers), off_layers, len(self.binds), off_binds)
        header = struct.pack(
            "<8sIII6I8I5IQ6I2I2Q4s4s4I72x2I",
            MAGIC,
            VERSION,
            pool.end,
            self.flags,
            *counts,
            *(number for pair in strings for number in pair),
            self.host_uid,
            self.host_gid,
            self.map_uid,
            self.map_gid,
            0,
            self.st_dev,
            *(number for pair in tail for number in pair),
            len(self.ports),
            off_ports,
            self.view_offset,
            self.view_bytes,
            self.address,
            self.gateway,
            *addresses,
            *table,
            *alias,
        )
        return b"".join((header, *tables, *pool.parts))


def write_address(fd: int, address: bytes, gateway: bytes, flags: int) -> None:
    """Change a launch file that programs have mapped: they have an address from now on. The engine takes the address
    as the sign that the others are there, so it comes last.

    Args:
        fd: open for reading and writing.
        flags: added to those of the file.
    """
    (before,) = struct.unpack("<I", os.pread(fd, 4, FLAGS_PLACE))
    os.pwrite(fd, struct.pack("<I", before | flags), FLAGS_PLACE)
    os.pwrite(fd, gateway, ADDRESS_PLACE + 4)
    os.pwrite(fd, address, ADDRESS_PLACE)


class _Pool:
    """NUL-terminated strings that follow the tables; equal strings are stored once."""

    __slots__ = ("end", "known", "parts")

    def __init__(self, end: int) -> None:
        self.end = end
        self.parts: list[bytes] = []
        self.known: dict[bytes, tuple[int, int]] = {}

    def add(self, text: bytes) -> tuple[int, int]:
        if b"\0" in text:
            raise ValueError(f"a path with a NUL byte: {text!r}")
        place = self.known.get(text)
        if place is None:
            place = self.known[text] = (self.end, len(text))
            self.parts.append(text + b"\0")
            self.end += len(text) + 1
        return place

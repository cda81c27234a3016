"""Writer of native views (docs/format.md section 5), independent of the store's own."""

from __future__ import annotations

import stat
import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

MASK = (1 << 64) - 1
MIX = 0x9E3779B97F4A7C15
FNV_START = 0xCBF29CE484222325
FNV_PRIME = 0x100000001B3
TYPES = {
    stat.S_IFDIR: b"d",
    stat.S_IFREG: b"f",
    stat.S_IFLNK: b"l",
    stat.S_IFCHR: b"c",
    stat.S_IFBLK: b"b",
    stat.S_IFIFO: b"p",
}


def fnv(data: bytes, h: int = FNV_START) -> int:
    for byte in data:
        h = (h ^ byte) * FNV_PRIME & MASK
    return h


def mix(h: int) -> int:
    h ^= h >> 32
    h = h * MIX & MASK
    return h ^ h >> 29


@dataclass
class Node:
    """One entry of a view, by its visible path (bytes, leading slash; the root is empty)."""

    mode: int
    data: bytes = b""
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 1_600_000_000_000_000_000
    link: bytes = b""
    layer: int = 0
    source: bytes = b""
    same_as: bytes | None = None
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    rdev: tuple[int, int] = (0, 0)


class Strings:
    def __init__(self) -> None:
        self.data = bytearray(b"\0")

    def add(self, text: bytes) -> int:
        if not text:
            return 0
        at = len(self.data)
        self.data += text + b"\0"
        return at


@dataclass(frozen=True)
class WrittenView:
    data: bytes
    ids: dict[bytes, int]
    paths: dict[int, bytes]


def _children(nodes: Mapping[bytes, Node]) -> dict[bytes, list[bytes]]:
    children: dict[bytes, list[bytes]] = {}
    for path in nodes:
        if path:
            children.setdefault(path.rpartition(b"/")[0], []).append(path)
    return children


def _numbered(children: Mapping[bytes, list[bytes]]) -> dict[bytes, int]:
    """Ids: breadth first, so that the children of a directory are contiguous and sorted."""
    ids = {b"": 1}
    queue = [b""]
    for parent in queue:
        for path in sorted(children.get(parent, [])):
            ids[path] = len(ids) + 1
            queue.append(path)
    return ids


class Entries:
    """The packed entries of a tree whose names have ids."""

    def __init__(self, nodes: Mapping[bytes, Node], ids: Mapping[bytes, int]) -> None:
        self.nodes, self.ids = nodes, ids
        self.children = _children(nodes)
        self.links = Counter(n.same_as if n.same_as is not None else p for p, n in nodes.items())

    def hash(self, path: bytes) -> int:
        parent, _, name = path.rpartition(b"/")
        return mix(fnv(name, FNV_START ^ ((self.ids[parent] if path else 0) * MIX & MASK)))

    def pack(self, path: bytes, add: Callable[[bytes], int], kids: Sequence[int], name_at: int | None = None) -> bytes:
        """`add`: returns the offset of a string; `name_at`: that of the name, if it is known."""
        node = self.nodes[path]
        parent, _, name = path.rpartition(b"/")
        subdirs = sum(stat.S_ISDIR(self.nodes[p].mode) for p in self.children.get(path, []))
        main = node.same_as if node.same_as is not None else path
        nlink = 2 + subdirs if stat.S_ISDIR(node.mode) else self.links[main]
        xattrs = b"".join(struct.pack("<HI", len(k), len(v)) + k + v for k, v in node.xattrs.items())
        size = len(node.link) if stat.S_ISLNK(node.mode) else len(self.nodes[main].data)
        return struct.pack(
            "<IIHBBIIIIIQqIIIIIIIIIIII",
            self.ids[parent] if path else 0,
            add(name) if name_at is None else name_at,
            len(name),
            TYPES[stat.S_IFMT(node.mode)][0],
            0,
            self.hash(path) >> 32,
            node.mode,
            node.uid,
            node.gid,
            nlink,
            size,
            node.mtime_ns,
            node.layer,
            self.ids[main],
            kids[0] if kids else 0,
            len(kids),
            add(node.link),
            len(node.link),
            add(node.source),
            len(node.source),
            add(xattrs),
            len(xattrs),
            *node.rdev,
        )


def hash_table(hashes: Mapping[int, int], buckets: int) -> list[int]:
    """Buckets with ids, by the hash of each id."""
    table = [0] * buckets
    for number, h in hashes.items():
        slot = h & (buckets - 1)
        while table[slot]:
            slot = (slot + 1) & (buckets - 1)
        table[slot] = number
    return table


def write_view(nodes: Mapping[bytes, Node], layers: int = 1) -> WrittenView:
    ids = _numbered(_children(nodes))
    if len(ids) != len(nodes):
        raise ValueError("a path without its parent")
    made = Entries(nodes, ids)
    strings = Strings()
    count = len(ids) + 1
    buckets = 1
    while buckets < 2 * count:
        buckets *= 2
    table = hash_table({number: made.hash(path) for path, number in ids.items()}, buckets)
    entries = bytearray(96)
    for path in ids:
        entries += made.pack(path, strings.add, sorted(ids[p] for p in made.children.get(path, [])))
    off_buckets = 128
    off_entries = (off_buckets + 4 * buckets + 7) & ~7
    off_strings = off_entries + len(entries)
    total = off_strings + len(strings.data)
    header = struct.pack(
        "<8sIIQIIQQQQII32s24s",
        b"RLVIEW1\n",
        1,
        128,
        total,
        count,
        buckets,
        off_buckets,
        off_entries,
        off_strings,
        len(strings.data),
        layers,
        0,
        b"\1" * 32,
        b"",
    )
    body = header + struct.pack(f"<{buckets}I", *table)
    body = body.ljust(off_entries, b"\0") + bytes(entries) + bytes(strings.data)
    return WrittenView(body, ids, {v: k for k, v in ids.items()})

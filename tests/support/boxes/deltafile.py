"""Writer of deltas of native views (docs/format.md section 5), independent of the store's own."""

from __future__ import annotations

import stat
import struct
from collections.abc import Mapping

from tests.support.boxes.viewfile import Entries, Node, Strings, WrittenView, hash_table, write_view

HEADER = 192


def _numbered(children: Mapping[bytes, list[bytes]], base: Mapping[bytes, int]) -> dict[bytes, int]:
    """Names of the base keep their ids; the others follow, by the ids of their directories and by name."""
    ids = {
        path: number for path, number in base.items() if path in {p for c in children.values() for p in c} or not path
    }
    queue = sorted(ids, key=ids.__getitem__)
    for parent in queue:
        for path in sorted(children.get(parent, [])):
            if path not in ids:
                ids[path] = len(base) + 1 + len(ids.keys() - base.keys())
                queue.append(path)
    return ids


def write_delta(lower: Mapping[bytes, Node], nodes: Mapping[bytes, Node], layers: int = 1) -> tuple[bytes, WrittenView]:
    """Return the file of the base, which shows `lower`, and the delta, which shows `nodes`."""
    base = write_view(lower, layers)
    made = Entries(nodes, {})
    made.ids = ids = _numbered(made.children, base.ids)
    below = Entries(lower, base.ids)
    (string_bytes,) = struct.unpack_from("<Q", base.data, 56)
    strings = Strings()
    strings.data.clear()

    def add(text: bytes) -> int:
        return string_bytes + strings.add(text) if text else 0

    def added_to(path: bytes) -> list[int]:
        return sorted(ids[p] for p in made.children.get(path, []) if p not in base.ids)

    def subdirs(tree: Entries, path: bytes) -> int:
        return sum(stat.S_ISDIR(tree.nodes[p].mode) for p in tree.children.get(path, []))

    both = [path for path in base.ids if path in ids]
    changed = [p for p in both if nodes[p] != lower[p] or added_to(p) or subdirs(made, p) != subdirs(below, p)]
    added = sorted(ids.keys() - base.ids.keys(), key=ids.__getitem__)
    entries = b""
    for path in changed:
        name_at = struct.unpack_from("<I", base.data, struct.unpack_from("<Q", base.data, 40)[0] + 96 * ids[path] + 4)[
            0
        ]
        entries += made.pack(path, add, added_to(path), name_at)
    for path in added:
        entries += made.pack(path, add, added_to(path))
    buckets = 4
    while buckets < 2 * len(added):
        buckets *= 2
    table = struct.pack(f"<{buckets}I", *hash_table({ids[p]: made.hash(p) for p in added}, buckets))
    marks, before = b"", 0
    for first in range(0, len(base.ids) + 2, 32):
        words = [
            sum(1 << (number & 31) for number in numbers if first <= number < first + 32)
            for numbers in ({ids[p] for p in changed}, {base.ids[p] for p in base.ids.keys() - ids.keys()})
        ]
        marks += struct.pack("<III", *words, before)
        before += words[0].bit_count()
    at = HEADER, HEADER + len(entries), HEADER + len(entries) + len(table)
    total = at[2] + len(marks) + len(strings.data)
    header = struct.pack(
        "<8sIIQIIQQQQII32sIIQQQ32s24x",
        b"RLDELTA1",
        1,
        HEADER,
        total,
        len(base.ids) + 1,
        buckets,
        at[1],
        at[0],
        at[2] + len(marks),
        len(strings.data),
        layers,
        len(changed),
        b"\2" * 32,
        len(added),
        layers,
        at[2],
        len(base.data),
        string_bytes,
        b"\1" * 32,
    )
    data = header + entries + table + marks + bytes(strings.data)
    return base.data, WrittenView(data, ids, {v: k for k, v in ids.items()})

"""rpm's database in SQLite: a table of headers, each a list of tags with their data (rpm.org, "RPM Package format").

| Offset | Size | Type | Field |
|---|---|---|---|
| 0 | 4 | u32be | number of tags |
| 4 | 4 | u32be | length of the data, bytes |
| 8 | 16 each | u32be | tag, type, offset in the data, count |
| … | | | data: texts end with NUL, numbers of type 4 are u32be |
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import closing, suppress

_TAGS = {1000: "name", 1001: "version", 1002: "release", 1003: "epoch", 1014: "license", 1022: "arch"}
_TEXTS = (6, 8, 9)
_INT32 = 4
_HEADER = struct.Struct(">II")
_TAG = struct.Struct(">IIII")


def read_rpm(data: bytes) -> Iterator[dict[str, str]]:
    """Yield the wanted tags of each package of a database; none if it cannot be read."""
    import sqlite3

    with closing(sqlite3.connect(":memory:")) as database, suppress(sqlite3.Error, struct.error):
        database.deserialize(data)
        database.execute("PRAGMA trusted_schema = OFF")
        for (blob,) in database.execute("SELECT blob FROM Packages"):
            yield parse_header(bytes(blob))


def parse_header(blob: bytes) -> dict[str, str]:
    """Return the wanted tags of a header. Raises struct.error for one that is cut."""
    count, length = _HEADER.unpack_from(blob)
    start = _HEADER.size + _TAG.size * count
    data = blob[start : start + length]
    found = {}
    for number in range(count):
        tag, kind, offset, _ = _TAG.unpack_from(blob, _HEADER.size + _TAG.size * number)
        if tag not in _TAGS:
            continue
        if kind in _TEXTS:
            found[_TAGS[tag]] = data[offset : data.find(b"\0", offset)].decode("utf-8", "replace")
        elif kind == _INT32:
            found[_TAGS[tag]] = str(struct.unpack_from(">I", data, offset)[0])
    return found

"""Planned entries by path, of any number: in a dictionary up to `HELD_MAX` entries, above that in a file.

A key is the path with NUL for each slash: sorted by bytes, a directory precedes its content, and its content precedes
everything else (`/a`, `/a/b`, `/a-b`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rootlay.store.model.entry import Entry
from rootlay.vfs.build.context.scratchtable import ScratchTables
from rootlay.vfs.build.context.source import Stamp
from rootlay.vfs.build.copy.planentry import FileContent, Opener, Planned

_SCHEMA = """
CREATE TABLE plan (
    key BLOB PRIMARY KEY, entry BLOB NOT NULL, source INTEGER, place BLOB, stamp BLOB, identity BLOB
) WITHOUT ROWID;
CREATE INDEX names ON plan (identity, key) WHERE identity IS NOT NULL
"""
HELD_MAX = 32_768
_FIELDS = "entry, source, place, stamp, identity"
_PUT = "INSERT OR REPLACE INTO plan VALUES (?, ?, ?, ?, ?, ?)"


class PlanTable:
    """An empty table. Close it. For `directory` and errors see ScratchTables."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._held: dict[bytes, Planned] = {}
        self._first_names: dict[bytes, bytes] | None = None  # of the entries in memory, computed on first use
        self._sources: list[Opener] = []
        self._numbers: dict[Opener, int] = {}
        self._tables: ScratchTables | None = None

    def close(self) -> None:
        """Close the table. Idempotent."""
        if self._tables is not None:
            self._tables.close()

    def find(self, path: bytes) -> Planned | None:
        """Return the planned entry at a path."""
        if self._tables is None:
            return self._held.get(path)
        row = self._tables.one(f"SELECT {_FIELDS} FROM plan WHERE key = ?", _key(path))
        return None if row is None else self._planned(row)

    def find_entry(self, path: bytes) -> Entry | None:
        """Return the entry alone."""
        if self._tables is None:
            held = self._held.get(path)
            return None if held is None else held.entry
        row = self._tables.one("SELECT entry FROM plan WHERE key = ?", _key(path))
        return None if row is None else Entry.unpack(row[0])

    def put(self, path: bytes, planned: Planned) -> None:
        """Put an entry at a path, over an existing one."""
        if self._tables is not None:
            self._tables.run(_PUT, *self._row(path, planned))
            return
        self._held[path] = planned
        self._first_names = None
        if len(self._held) > HELD_MAX:
            self._tables = ScratchTables(_SCHEMA, self._directory)
            self._tables.run_many(_PUT, (self._row(*item) for item in self._held.items()))
            self._held.clear()

    def _row(self, path: bytes, planned: Planned) -> tuple[Any, ...]:
        number = place = None
        if planned.content is not None:
            number, place = self._number(planned.content.source), planned.content.place
        stamp = None if planned.stamp is None else planned.stamp.pack()
        return _key(path), planned.entry.pack(), number, place, stamp, planned.identity

    def _number(self, source: Opener) -> int:
        number = self._numbers.setdefault(source, len(self._sources))
        if number == len(self._sources):
            self._sources.append(source)
        return number

    def delete_below(self, path: bytes) -> None:
        """Remove everything in a directory."""
        if self._tables is not None:
            self._tables.run("DELETE FROM plan WHERE key > ? AND key < ?", *_inside(path))
            return
        for inside in [known for known in self._held if known.startswith(path.rstrip(b"/") + b"/")]:
            del self._held[inside]
        self._first_names = None

    def has_any(self, path: bytes) -> bool:
        """Return whether anything is planned at a path or in it."""
        if self._tables is None:
            return any(known == path or known.startswith(path.rstrip(b"/") + b"/") for known in self._held)
        query = "SELECT 1 FROM plan WHERE key = ? OR (key > ? AND key < ?) LIMIT 1"
        return self._tables.one(query, _key(path), *_inside(path)) is not None

    def first_name(self, identity: bytes) -> bytes | None:
        """Return the first of a file's names, in the order of `__iter__`."""
        if self._tables is None:
            if self._first_names is None:
                self._first_names = {}
                for path in sorted(self._held, key=_key):
                    found = self._held[path].identity
                    if found is not None:
                        self._first_names.setdefault(found, path)
            return self._first_names.get(identity)
        row = self._tables.one("SELECT min(key) FROM plan WHERE identity = ?", identity)
        return None if row is None or row[0] is None else _path(row[0])

    def __iter__(self) -> Iterator[tuple[bytes, Planned]]:
        """Yield everything, sorted. The table must not change meanwhile."""
        if self._tables is None:
            for path in sorted(self._held, key=_key):
                yield path, self._held[path]
            return
        for row in self._tables.rows(f"SELECT key, {_FIELDS} FROM plan ORDER BY key"):
            yield _path(row[0]), self._planned(row[1:])

    def _planned(self, row: Sequence[Any]) -> Planned:
        entry, number, place, stamp, identity = row
        content = None if number is None else FileContent(self._sources[number], place)
        return Planned(Entry.unpack(entry), content, None if stamp is None else Stamp.unpack(stamp), identity)


def _key(path: bytes) -> bytes:
    return path.replace(b"/", b"\0")


def _path(key: bytes) -> bytes:
    return key.replace(b"\0", b"/")


def _inside(path: bytes) -> tuple[bytes, bytes]:
    """Return the two keys that enclose all keys in a directory."""
    key = _key(path.rstrip(b"/"))
    return key + b"\0", key + b"\1"

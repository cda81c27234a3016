"""The required content of an upper's filter: the keys of everything in a directory of it (docs/format.md §7)."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from rootlay.vfs.merge import longpath
from rootlay.vfs.merge.bloom import MOVED, OPAQUE, RECORD
from rootlay.vfs.merge.filerecord import find_record
from rootlay.vfs.merge.record import Record
from rootlay.vfs.merge.whiteout import Mark, long_whiteout_target, parse_mark, record_name

Key = tuple[bytes, bytes]
"""A path inside the upper (the root is empty) and a kind, in the form of `Bloom.add`."""

Real = Callable[[bytes], bytes]
"""The real path of a path inside the upper, valid until the operation ends (rootlay.vfs.merge.longpath)."""


class Seen(NamedTuple):
    """What is kept of the status of each name in a directory: a directory may have hundreds of thousands."""

    mode: int
    is_empty: bool


def list_seen(real: bytes) -> dict[bytes, Seen]:
    """Return the content of a real directory. Raises OSError."""
    shared: dict[Seen, Seen] = {}
    found = {}
    with os.scandir(real) as listing:
        for item in listing:
            status = item.stat(follow_symlinks=False)
            seen = Seen(status.st_mode, not status.st_size)
            found[item.name] = shared.setdefault(seen, seen)
    return found


def iter_upper_keys(upper: bytes) -> Iterator[Key]:
    """Yield the keys of everything in the upper at the real path `upper`. Objects removed meanwhile are skipped.

    Raises:
        OSError: a directory cannot be listed.
    """

    def real(path: bytes) -> bytes:
        return longpath.guarded(upper, path)

    waiting = [b""]
    while waiting:
        directory = waiting.pop()
        try:
            with longpath.operation():
                found = list_seen(longpath.pinned(upper, directory))
        except (FileNotFoundError, NotADirectoryError):
            continue
        yield from longpath.scoped(keys_in(directory, found, real))
        waiting += (
            directory + b"/" + name
            for name, seen in found.items()
            if stat.S_ISDIR(seen.mode) and parse_mark(name) is None
        )


def keys_in(directory: bytes, found: Mapping[bytes, Seen], real: Real) -> Iterator[Key]:
    """Return the keys of the content of one directory, of the root also its own. Marks without a meaning have none."""
    if not directory:
        yield from _held(b"", real)
    for name in sorted(found):
        seen = found[name]
        path = directory + b"/" + name
        mark = parse_mark(name)
        if mark is None:
            yield path, b""
            if stat.S_ISREG(seen.mode) or stat.S_ISDIR(seen.mode):
                yield from _held(path, real)
        elif mark.kind == "opaque":
            yield directory, OPAQUE
        elif mark.kind == "record":
            yield from _of_record(directory, mark, _link(real(path), seen), found)
        elif mark.kind == "whiteout" and mark.name is not None:
            yield directory + b"/" + mark.name, b""
        elif mark.kind == "whiteout":
            hidden = long_whiteout_target(name, _link(real(path), seen) or b"")
            if hidden is not None:
                yield directory + b"/" + hidden, b""


def _held(path: bytes, real: Real) -> Iterator[Key]:
    """Return the keys of the record in a file or directory."""
    try:
        record = find_record(real(path))
    except ValueError:
        record = None
    if record is not None:
        yield from _moved(record)
        yield path, RECORD


def _moved(record: Record) -> Iterator[Key]:
    if record.redirect is not None:
        yield b"", MOVED
        yield record.redirect, MOVED


def _of_record(directory: bytes, mark: Mark, link: bytes | None, found: Mapping[bytes, Seen]) -> Iterator[Key]:
    try:
        record = Record.parse(link) if link is not None else None
    except ValueError:
        record = None
    if record is None:
        return
    yield from _moved(record)
    if mark.name is not None:
        yield directory + b"/" + mark.name if mark.name else directory, RECORD
        return
    for name in found:
        if parse_mark(name) is None and record_name(name).startswith(b".wh..wh.n."):
            yield directory + b"/" + name, RECORD


def _link(real: bytes, seen: Seen) -> bytes | None:
    if stat.S_ISLNK(seen.mode):
        with contextlib.suppress(FileNotFoundError):
            return os.readlink(real)
    return None

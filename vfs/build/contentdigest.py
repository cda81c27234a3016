"""Digests of what a COPY brings: what the cache compares instead of times.

A file of the host is read once: its digest is remembered by device, inode, size, times of content and of inode, as git
and make do; a change within the clock's own step of a first look is found by looking at the age (rule 2).

Rules:
1. `plan_digest` covers path, type, mode, owner, link target, device number, xattrs and content of every entry.
2. A file that changed in the last two seconds is not remembered: it may change again without a new time.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from rootlay.store.durable import make_directories
from rootlay.store.entry import EntryType
from rootlay.store.uppers import replace_file
from rootlay.vfs.build.layerplan import Planned

SETTLED_NS = 2_000_000_000
REMEMBERED_MAX = 200_000
_READ_BYTES = 1 << 20


class ContentDigests:
    """Digests of files by their stamps, kept in `<root>/build/digests.json`. Save what was learnt with `save`.

    Args:
        check: called now and then while files are read; may raise to give up.
    """

    def __init__(self, path: Path, check: Callable[[], None] = lambda: None) -> None:
        self._path = path
        self._check = check
        self._known: dict[str, str] | None = None
        self._new: dict[str, str] = {}

    def of(self, planned: Planned) -> str:
        """The SHA-256 of a file's content, in hex. Raises OSError."""
        stamp = planned.stamp
        key = "" if stamp is None else ".".join(map(str, stamp))
        if key:
            known = self._load().get(key) or self._new.get(key)
            if known is not None:
                return known
        assert planned.open is not None  # a file
        found = hashlib.sha256()
        with planned.open() as stream:
            while data := stream.read(_READ_BYTES):
                self._check()
                found.update(data)
        if stamp is not None and time.time_ns() - max(stamp[3], stamp[4]) > SETTLED_NS:
            self._new[key] = found.hexdigest()
        return found.hexdigest()

    def _load(self) -> dict[str, str]:
        if self._known is None:
            try:
                self._known = dict(json.loads(self._path.read_bytes()))
            except (FileNotFoundError, ValueError, TypeError):
                self._known = {}
        return self._known

    def save(self) -> None:
        """Write what is new. Two builds at the same time: the later one wins, which costs a reading again."""
        if self._new:
            merged = {**self._load(), **self._new}
            kept = dict(list(merged.items())[-REMEMBERED_MAX:])
            make_directories(self._path.parent)
            replace_file(self._path, json.dumps(kept).encode())
            self._known, self._new = kept, {}


def plan_digest(entries: Iterable[tuple[bytes, Planned]], digests: ContentDigests) -> str:
    """What the entries of a plan come to. Raises OSError: a file cannot be read."""
    found = hashlib.sha256()
    for path, planned in entries:
        entry = planned.entry
        content = digests.of(planned) if entry.type is EntryType.FILE and planned.open is not None else ""
        told = (path, entry.type.value, entry.mode, entry.uid, entry.gid, entry.link, entry.major, entry.minor)
        found.update(repr((*told, entry.xattrs, content)).encode())
    return found.hexdigest()

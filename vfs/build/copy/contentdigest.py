"""Digests of the content of a COPY: the cache compares them instead of times.

A file of the host is read once: its digest is remembered by device, inode, size, times of content and of inode, as git
and make do; the age of the file reveals a change within one clock step after its first read (rule 2).

Rules:
1. `plan_digest` covers path, type, mode, owner, link target, device number, xattrs and content of every entry.
2. The digest of a file that changed in the last two seconds is not stored: the file may change again without a new
   time.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from rootlay.store.disk.durable import make_directories
from rootlay.store.model.entry import EntryType
from rootlay.vfs.build.context.source import Stamp
from rootlay.vfs.build.copy.digestfile import (
    KEY_BYTES,
    RECORD_BYTES,
    DigestFile,
    find_file,
    iter_records,
    record,
    write_file,
)
from rootlay.vfs.build.copy.planentry import Planned

FILE = "digests"
SETTLED_NS = 2_000_000_000
RECENT_MAX = 20_000
"""Maximum number of new digests in memory, found again in the same build; the others wait in a file for `save`."""
_READ_BYTES = 1 << 20


class ContentDigests:
    """The digests of files by their stamps, in `<root>/build/digests`. Store new ones with `save`. Thread safe.

    Args:
        check: called from time to time while files are read; may raise to cancel.
    """

    def __init__(self, path: Path, check: Callable[[], None] = lambda: None) -> None:
        self._path = path
        self._check = check
        self._lock = threading.Lock()
        self._known: DigestFile | None = None
        self._opened = False
        self._new: dict[bytes, bytes] = {}
        self._waiting: IO[bytes] | None = None

    def of(self, planned: Planned) -> bytes:
        """Return the SHA-256 of a file's content. Raises OSError."""
        stamp = planned.stamp
        key = b"" if stamp is None else _key(stamp)
        known = self._find(key) if key else None
        if known is not None:
            return known
        assert planned.content is not None  # a file
        found = hashlib.sha256()
        with planned.content.open() as stream:
            while data := stream.read(_READ_BYTES):
                self._check()
                found.update(data)
        if stamp is not None and time.time_ns() - max(stamp.mtime_ns, stamp.ctime_ns) > SETTLED_NS:
            self._learn(key, found.digest())
        return found.digest()

    def _find(self, key: bytes) -> bytes | None:
        with self._lock:
            if not self._opened:
                self._known, self._opened = find_file(self._path), True
            known = self._new.get(key)
            return known if known is not None or self._known is None else self._known.find(key)

    def _learn(self, key: bytes, digest: bytes) -> None:
        with self._lock:
            self._new[key] = digest
            if len(self._new) >= RECENT_MAX:
                if self._waiting is None:
                    make_directories(self._path.parent)
                    self._waiting = tempfile.TemporaryFile(dir=self._path.parent)  # noqa: SIM115 -- closed by `close`
                self._waiting.write(b"".join(self._new_records()))
                self._new.clear()

    def _new_records(self) -> Iterator[bytes]:
        now_s = int(time.time())
        return (record(key, now_s, digest) for key, digest in self._new.items())

    def save(self) -> None:
        """Write the new digests. Of two concurrent builds, the later one may lose the digests of the other."""
        with self._lock:
            if self._new or self._waiting is not None:
                make_directories(self._path.parent)
                write_file(self._path, self._all())
            self._close()

    def _all(self) -> Iterator[bytes]:
        current = find_file(self._path)  # perhaps not the file that was opened
        if current is not None:
            yield from current
            current.close()
        if self._waiting is not None:
            self._waiting.seek(0)
            while data := self._waiting.read(RECORD_BYTES << 14):
                yield from iter_records(data)
        yield from self._new_records()

    def _close(self) -> None:
        if self._known is not None:
            self._known.close()
        if self._waiting is not None:
            self._waiting.close()
        self._known, self._opened, self._waiting = None, False, None
        self._new.clear()


def _key(stamp: Stamp) -> bytes:
    return hashlib.blake2b(stamp.pack(), digest_size=KEY_BYTES).digest()


def plan_digest(entries: Iterable[tuple[bytes, Planned]], digests: ContentDigests) -> str:
    """Return the digest of a plan's entries. Raises OSError: a file cannot be read."""
    found = hashlib.sha256()
    for path, planned in entries:
        entry = planned.entry
        content = digests.of(planned) if entry.type is EntryType.FILE and planned.content is not None else b""
        told = (path, entry.type.value, entry.mode, entry.uid, entry.gid, entry.link, entry.major, entry.minor)
        found.update(repr((*told, entry.xattrs, content)).encode())
    return found.hexdigest()

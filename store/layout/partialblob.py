"""Blobs that arrive in several pulls: the fetched part stays in `tmp/` when a pull ends early, for any reason.

Rules:
1. `tmp/partial-<diff id>-<blob digest>` is a plain file that only the holder of the diff ID's lock touches.
2. Nothing about it is trusted: the part from an earlier pull is read again from its start, by the same pass that
   hashes, decompresses and indexes, before the rest is fetched from the registry.
3. `sweep` leaves it alone. `prune` removes it, and so does a later pull when it is older than `KEPT_S`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from rootlay.store.codec.bytestream import CHUNK_BYTES
from rootlay.store.disk.durable import FILE_MODE, KEPT_PREFIX
from rootlay.store.disk.lock import try_lock
from rootlay.store.layout.layout import Layout
from rootlay.store.layout.stagedblob import StagedBlob
from rootlay.store.model.digest import Digest

KEPT_S = 7 * 24 * 3600


class PartialBlob(StagedBlob):
    """A staged blob whose first bytes may be there already: existing bytes are only counted and hashed.

    Preconditions: the caller holds the diff ID's lock, and writes the file's own bytes first.
    """

    def __init__(self, path: Path) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
        super().__init__(path, fd)
        self._there = os.fstat(fd).st_size

    def write(self, data: bytes) -> None:
        """Append the missing part of `data`."""
        known = min(len(data), max(0, self._there - self.size))
        self.note(data[:known] if known < len(data) else data)
        if known < len(data):
            super().write(data[known:] if known else data)


def partial_path(tmp: Path, diff_id: Digest, blob: Digest) -> Path:
    """Return the path of the fetched part of a layer's blob."""
    return tmp / f"{KEPT_PREFIX}{diff_id.hex}-{blob.hex}"


def partial_size(path: Path, limit_bytes: int) -> int:
    """Return how many bytes are there; 0 if there are none, or more than the blob has."""
    with suppress(OSError):
        size = path.lstat().st_size
        if size <= limit_bytes:
            return size
        path.unlink()
    return 0


def iter_partial(path: Path, size: int) -> Iterator[bytes]:
    """Yield the first `size` bytes."""
    with open(path, "rb", buffering=0) as stream:
        while size and (chunk := stream.read(min(size, CHUNK_BYTES))):
            size -= len(chunk)
            yield chunk


def remove_partials(layout: Layout, older_than_s: float = 0, *, dry_run: bool = False) -> int:
    """Remove leftovers of interrupted pulls without a live process; return the bytes that became (or would be) free."""
    freed = 0
    limit = time.time() - older_than_s
    for path in layout.tmp.glob(f"{KEPT_PREFIX}*"):
        diff_id = path.name.split("-")[1]
        lock = try_lock(layout.locks / f"sha256-{diff_id}.lock")  # rule 1
        if lock is None:
            continue
        with lock, suppress(FileNotFoundError):
            found = path.lstat()
            if found.st_mtime <= limit:
                freed += found.st_size
                if not dry_run:
                    path.unlink()
    return freed

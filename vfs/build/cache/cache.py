"""The build cache: which layer a step made, by everything that the step depends on (docs/format.md §12).

    <root>/build/steps/<first two digits>/<key>.json

Rules:
1. A key is the SHA-256 of a JSON list: the chain ID below, the instruction's own words, the content of what it reads.
   Times of files are not in it; types, modes, owners, link targets, xattrs and content are.
2. A record names a layer by diff ID and blob. One whose layer is gone is none.
3. Who makes a layer holds the lock of its key, so that builds at the same time wait for one another instead of doing
   the same work twice.
4. A record is used when its modification time is set; `prune` goes by that.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rootlay.store.disk.durable import make_directories, replace_file
from rootlay.store.disk.lock import FileLock
from rootlay.store.layer.writer import WrittenLayer
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import BadManifest
from rootlay.store.model.manifest import Descriptor
from rootlay.store.model.value import value
from rootlay.store.store import ImageStore

VERSION = 1


@value
class CachedLayer:
    """A layer that is in the store, when it was made (RFC 3339), and by which instruction, for people."""

    layer: WrittenLayer
    created: str
    step: str = ""

    def to_json(self) -> dict[str, Any]:
        """The stored form."""
        layer = self.layer
        return {
            "version": VERSION,
            "diff_id": str(layer.diff_id),
            "blob": layer.descriptor.to_json(),
            "created": self.created,
            "step": self.step,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CachedLayer:
        """Raises KeyError, TypeError, BadManifest: it is not one."""
        descriptor = Descriptor.parse(data["blob"], "build cache")
        return cls(WrittenLayer(Digest.parse(data["diff_id"]), descriptor), data["created"], str(data.get("step", "")))


def key_of(*parts: Any) -> str:
    """The key of a step, from JSON values."""
    return hashlib.sha256(json.dumps([VERSION, *parts], sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


class StepCache:
    """The records of one store. Safe between processes and threads."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store
        self.path = store.root / "build" / "steps"

    def _place(self, key: str) -> Path:
        return self.path / key[:2] / f"{key}.json"

    def find(self, key: str) -> CachedLayer | None:
        """The layer of a step, if it is here; notes that it was used."""
        path = self._place(key)
        try:
            found = CachedLayer.from_json(json.loads(path.read_bytes()))
        except (FileNotFoundError, ValueError, KeyError, TypeError, BadManifest):
            return None
        layout = self._store.layout
        if not layout.has_layer(found.layer.diff_id):
            return None
        if not layout.has_blob(found.layer.descriptor.digest):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return found

    def add(self, key: str, made: CachedLayer) -> None:
        """Remember the layer of a step. Atomic; a later one replaces it."""
        path = self._place(key)
        make_directories(path.parent)
        replace_file(path, json.dumps(made.to_json()).encode())

    def try_lock(self, key: str) -> FileLock | None:
        """The lock of a step (rule 3), a context manager; None while somebody makes the same layer."""
        return self._store.layout.try_lock(f"step-{key}")

    def iter_records(self) -> Iterator[tuple[Path, float, CachedLayer]]:
        """All records: file, when last used (seconds since the epoch), layer. Damaged ones are removed."""
        for path in sorted(self.path.glob("*/*.json")):
            try:
                yield path, path.stat().st_mtime, CachedLayer.from_json(json.loads(path.read_bytes()))
            except FileNotFoundError:
                continue
            except (ValueError, KeyError, TypeError, BadManifest):
                path.unlink(missing_ok=True)

    def forget(self, key: str) -> None:
        """Remove a record. Its layer goes with the store's own prune. Idempotent."""
        self._place(key).unlink(missing_ok=True)

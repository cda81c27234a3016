"""The build cache: the layer of each step, by everything that the step depends on (docs/format.md §12).

    <root>/build/steps/<first two digits>/<key>.json

Rules:
1. A key is the SHA-256 of a JSON list: the chain ID below, the words of the instruction, the content that it reads.
   Times of files are not in it; types, modes, owners, link targets, xattrs and content are.
2. A record names a layer by diff ID and blob. A record whose layer is missing is ignored.
3. A build that makes a layer holds the lock of its key, so that concurrent builds wait for one another instead of doing
   the same work twice.
4. Each use of a record sets its modification time, which `prune` reads.
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
RULES = 2
"""Of the instructions: changes whenever the same step makes another layer than before. 2: Docker's paths of links."""


@value
class CachedLayer:
    """A layer in the store, when it was made (RFC 3339), and by which instruction, for people."""

    layer: WrittenLayer
    created: str
    step: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the stored form."""
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
        """Parse the stored form. Raises KeyError, TypeError, BadManifest: it is malformed."""
        descriptor = Descriptor.parse(data["blob"], "build cache")
        return cls(WrittenLayer(Digest.parse(data["diff_id"]), descriptor), data["created"], str(data.get("step", "")))


def key_of(*parts: Any) -> str:
    """Return the key of a step, from JSON values."""
    return hashlib.sha256(json.dumps([RULES, *parts], sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


class StepCache:
    """The records of one store. Safe between processes and threads."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store
        self.path = store.root / "build" / "steps"

    def _place(self, key: str) -> Path:
        return self.path / key[:2] / f"{key}.json"

    def find(self, key: str) -> CachedLayer | None:
        """Return the layer of a step, if it is in the store. Records the use."""
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
        """Record the layer of a step. Atomic; a later record replaces it."""
        path = self._place(key)
        make_directories(path.parent)
        replace_file(path, json.dumps(made.to_json()).encode())

    def try_lock(self, key: str) -> FileLock | None:
        """Take the lock of a step (rule 3), a context manager. Return None while another build makes the same layer."""
        return self._store.layout.try_lock(f"step-{key}")

    def iter_records(self) -> Iterator[tuple[Path, float, CachedLayer]]:
        """Yield all records: file, last use (seconds since the epoch), layer. Damaged ones are removed."""
        for path in sorted(self.path.glob("*/*.json")):
            try:
                yield path, path.stat().st_mtime, CachedLayer.from_json(json.loads(path.read_bytes()))
            except FileNotFoundError:
                continue
            except (ValueError, KeyError, TypeError, BadManifest):
                path.unlink(missing_ok=True)

    def forget(self, key: str) -> None:
        """Remove a record. The store's own prune removes its layer. Idempotent."""
        self._place(key).unlink(missing_ok=True)

"""Listing and pruning of the build cache: `rootlay builder du`, `rootlay builder prune`.

Rules:
1. A step's record is tiny; it keeps its layer. If an image has the same layer, removing the record frees nothing: such
   records are `shared`, and stay unless everything is to be removed.
2. Safe during builds: the layers that a build has found are on its lease, and a cache directory in use is locked.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from rootlay.store.disk.walktree import disk_bytes
from rootlay.store.layout.catalog import Catalog
from rootlay.store.layout.removal import remove_layers
from rootlay.store.model.digest import Digest
from rootlay.store.model.value import value
from rootlay.store.store import ImageStore
from rootlay.vfs.build.cache.cache import CachedLayer, StepCache
from rootlay.vfs.build.cache.gcroots import needed
from rootlay.vfs.build.run.cachemount import CacheMounts


@value
class CacheItem:
    """One object in the cache.

    Args:
        kind: the layer of a step, or the directory of a `RUN --mount=type=cache`.
        id: the step's key, or the directory's place.
        text: the instruction; empty for a directory.
        size_bytes: of the layer's blob, or of the directory's files.
        created: of a step, RFC 3339.
        used_s: when it was last used, seconds since the epoch.
        shared: whether an image has the layer, too.
    """

    kind: Literal["step", "mount"]
    id: str
    text: str
    size_bytes: int
    created: str
    used_s: float
    shared: bool
    layer: tuple[Digest, Digest] | None = None


def list_cache(store: ImageStore) -> list[CacheItem]:
    """Return everything, most recently used first."""
    return sorted(_iter_items(store), key=lambda item: (-item.used_s, item.id))


def _iter_items(store: ImageStore) -> Iterator[CacheItem]:
    of_images = {diff_id for image in Catalog(store.layout).each() for diff_id in image.diff_ids}
    for path, used, record in StepCache(store).iter_records():
        yield _step(path, used, record, shared=record.layer.diff_id in of_images)
    for directory, used in CacheMounts(store.root).iter_all():
        identity = f"{directory.parent.name}/{directory.name}"
        yield CacheItem("mount", identity, "", disk_bytes(directory), "", used, shared=False)


def _step(path: Path, used: float, record: CachedLayer, *, shared: bool) -> CacheItem:
    blob = record.layer.descriptor
    layer = (record.layer.diff_id, blob.digest)
    return CacheItem("step", path.stem, record.step, blob.size, record.created, used, shared, layer)


def prune_cache(
    store: ImageStore, *, everything: bool = False, older_than_s: float = 0.0, dry_run: bool = False
) -> tuple[list[CacheItem], int]:
    """Remove steps whose layer is not in an image, and the layers. Return the removed items and the freed bytes.

    Args:
        everything: also the steps whose layers images have (which frees nothing), and the cache directories.
        older_than_s: only items that were not used for that time, seconds.
        dry_run: report what would be removed, and remove nothing.

    Raises StoreNotWritable.
    """
    limit = time.time() - older_than_s
    going = [
        item
        for item in list_cache(store)
        if item.used_s <= limit and (everything or (item.kind == "step" and not item.shared))
    ]
    cache, mounts = StepCache(store), CacheMounts(store.root)
    freed, gone, layers = 0, [], []
    for item in going:
        if item.kind == "mount":
            if not dry_run and not mounts.remove(mounts.path / item.id):
                continue
            freed += item.size_bytes
        elif item.layer is not None:
            layers.append(item.layer)
            if not dry_run:
                cache.forget(item.id)
        gone.append(item)
    keys = {item.id for item in gone}
    freed += remove_layers(
        store.layout, layers, lambda: needed(store, without_steps=keys), dry_run=dry_run
    )  # fmt: skip
    return gone, freed

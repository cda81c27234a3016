"""Removing names and images, and the blobs, layer indexes and views that nobody needs any more.

Rules:
1. `index.json` first: from then on the image is gone; a crash leaves garbage, never an image without its blobs.
2. What goes: that which the removed images had and no other image, and no container (`in_use`), needs. Other garbage
   (of a crash) goes when it is older than `GRACE_S`: a layer that was just written has no image yet.
3. Removers wait for importers (the use lock). A document that is not understood keeps everything it mentions.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rootlay.store.catalog import Catalog, without_image, without_name
from rootlay.store.digest import Digest
from rootlay.store.errors import BadManifest, CorruptStore, ImageInUse, StoreError
from rootlay.store.image import Image
from rootlay.store.imageconfig import ImageConfig
from rootlay.store.jsonfield import DOCUMENT_BYTES_MAX
from rootlay.store.layer import Layer, layer_exists
from rootlay.store.layout import Layout
from rootlay.store.manifest import MANIFESTS, Descriptor, Manifest
from rootlay.store.partialblob import remove_partials
from rootlay.store.reference import Reference

GRACE_S = 3600
_ANY_DIGEST = re.compile(rb"sha256:([0-9a-f]{64})")

InUse = Callable[[], Iterable[Digest]]


@dataclass(frozen=True, slots=True)
class Removed:
    """What `remove` did: the names that are gone, the images that are gone with them, and the bytes that are free."""

    untagged: tuple[str, ...] = ()
    deleted: tuple[Digest, ...] = ()
    freed_bytes: int = 0


@dataclass(slots=True)
class _Needed:
    """What must stay: blobs by digest; layers and views by diff ID and chain ID."""

    blobs: set[str] = field(default_factory=set)
    layers: set[str] = field(default_factory=set)
    views: set[str] = field(default_factory=set)


def remove_image(layout: Layout, text: str, *, force: bool, in_use: InUse) -> Removed:
    """Remove the name `text`, or the image of that ID. Durable; idempotent after a crash.

    A name goes; the image goes with its last name. By ID, an image with several names goes only by `force`.

    Raises UnknownImage, AmbiguousImage, BadReference, ImageInUse, StoreNotWritable.
    """
    with layout.remove_lock():
        catalog = Catalog(layout)
        image = catalog.get(text)
        by_name = catalog.find_named(text)
        if by_name is not None and by_name.ref_name is not None and len(image.references) > 1:
            reference = Reference.parse(by_name.ref_name)
            layout.update_index(lambda index: without_name(index, reference))
            return Removed(untagged=(by_name.ref_name,))
        if len(image.references) > 1 and not force:
            raise ImageInUse(text, f"it has the names {', '.join(image.references)}; remove those, or use force")
        layout.update_index(lambda index: without_image(index, image.manifest_digest))
        freed = _collect(layout, in_use, _needed_by_image(layout, image))
        return Removed(image.references, (image.id,), freed)


def prune(layout: Layout, in_use: InUse, *, unnamed: bool = True) -> Removed:
    """Remove images without a name (if `unnamed`) and all garbage that is older than `GRACE_S`."""
    with layout.remove_lock():
        catalog = Catalog(layout)
        gone = [image for image in catalog.images() if not image.references] if unnamed else []
        candidates = _Needed()
        for image in gone:
            found = _needed_by_image(layout, image)
            candidates.blobs |= found.blobs
            candidates.layers |= found.layers
            candidates.views |= found.views
        for image in gone:
            digest = image.manifest_digest
            layout.update_index(lambda index, digest=digest: without_image(index, digest))  # type: ignore[misc]
        freed = _collect(layout, in_use, candidates) + remove_partials(layout.tmp)
        return Removed(deleted=tuple(image.id for image in gone), freed_bytes=freed)


def discard(layout: Layout, published: Iterable[Path]) -> None:
    """Take out what a failed import has just published, unless an image needs it. Best effort: what stays (somebody
    else is importing) is garbage for `prune`."""
    try:
        with layout.remove_lock(wait=False):
            needed = _needed_by_all(layout, tuple)
            for path in published:
                if path.parent == layout.layers:
                    if path.name not in needed.layers:
                        shutil.rmtree(path, ignore_errors=True)
                elif path.name not in needed.blobs:
                    path.unlink(missing_ok=True)
    except (OSError, StoreError):
        return


def _needed_by_image(layout: Layout, image: Image) -> _Needed:
    needed = _Needed()
    descriptors = (image.descriptor, image.manifest.config, *image.manifest.layers)
    needed.blobs.update(descriptor.digest.hex for descriptor in descriptors)
    _need_layers(layout, image.diff_ids, needed)
    needed.views.add(image.chain_id.hex)
    return needed


def _need_layers(layout: Layout, diff_ids: Iterable[Digest], needed: _Needed) -> None:
    """Layers, and the blobs that their indexes point into."""
    for diff_id in diff_ids:
        needed.layers.add(diff_id.hex)
        directory = layout.layer_directory(diff_id)
        if not layer_exists(directory):
            continue
        try:
            layer = Layer(directory, layout.blobs)
        except CorruptStore:
            continue
        needed.blobs.add(layer.meta.blob.hex)
        layer.close()


def _needed_by_all(layout: Layout, in_use: InUse) -> _Needed:
    """What the images in `index.json` and the containers need."""
    needed = _Needed()
    pending = list(Catalog(layout).index.manifests)
    seen: set[Digest] = set()
    while pending:
        descriptor = pending.pop()
        if descriptor.digest in seen:
            continue
        seen.add(descriptor.digest)
        needed.blobs.add(descriptor.digest.hex)
        pending += _references(layout, descriptor, needed)
    used = tuple(in_use())
    needed.views.update(digest.hex for digest in used)
    _need_layers(layout, used, needed)
    return needed


def _references(layout: Layout, descriptor: Descriptor, needed: _Needed) -> Iterator[Descriptor]:
    """The further documents that a document points to; what it needs itself goes into `needed`."""
    try:
        if descriptor.media_type in MANIFESTS:
            manifest = Manifest.parse(layout.read_blob(descriptor.digest), str(descriptor.digest))
            needed.blobs.update(d.digest.hex for d in (manifest.config, *manifest.layers))
            config = ImageConfig.parse(layout.read_blob(manifest.config.digest), str(manifest.config.digest))
            _need_layers(layout, config.diff_ids, needed)
            needed.views.add(config.chain_id.hex)
            return
    except (BadManifest, CorruptStore):
        pass
    path = layout.blob_path(descriptor.digest)
    if path.exists() and path.stat().st_size <= DOCUMENT_BYTES_MAX:
        for found in _ANY_DIGEST.findall(path.read_bytes()):
            yield Descriptor("", Digest("sha256", found.decode()), 0)


def _collect(layout: Layout, in_use: InUse, candidates: _Needed) -> int:
    """Remove candidates and old garbage that nobody needs; the bytes that became free."""
    needed = _needed_by_all(layout, in_use)
    old = time.time() - GRACE_S
    freed = 0
    with layout.staging() as staging:
        for directory, keep, going in (
            (layout.layers, needed.layers, candidates.layers),
            (layout.views, needed.views, candidates.views),
            (layout.blobs / "sha256", needed.blobs, candidates.blobs),
        ):
            for path in sorted(directory.iterdir()):
                name = path.name.partition(".")[0]
                if name not in keep and (name in going or path.lstat().st_mtime < old):
                    freed += _remove(path, staging)
    return freed


def _remove(path: Path, staging: Path) -> int:
    """Take a file or a directory out of its place at once, then delete it; its size in bytes."""
    gone = staging / path.name
    os.rename(path, gone)
    if gone.is_symlink() or not gone.is_dir():
        size = gone.lstat().st_size
        gone.unlink()
        return size
    size = sum((Path(top) / name).lstat().st_size for top, _, names in os.walk(gone) for name in names)
    shutil.rmtree(gone)
    return size

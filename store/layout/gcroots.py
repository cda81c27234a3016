"""The objects that must stay in a store: all that a record or a living process needs (the mark of mark and sweep).

Roots are the images of `index.json`, the leases of living processes (`rootlay.store.disk.lease`), and the result of the
caller's `in_use`: containers and caches, which keep their own records. A document of an unknown kind keeps everything
that it mentions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress

from rootlay.store.disk.lease import read_leases
from rootlay.store.layout.catalog import Catalog
from rootlay.store.layout.identity import lazy_id, stack_ids
from rootlay.store.layout.layerfiles import read_layer_meta
from rootlay.store.layout.layout import Layout
from rootlay.store.model.digest import Digest, chain_id
from rootlay.store.model.errors import BadManifest, CorruptStore
from rootlay.store.model.image import Image
from rootlay.store.model.imageconfig import ImageConfig
from rootlay.store.model.jsonfield import DOCUMENT_BYTES_MAX
from rootlay.store.model.manifest import INDEXES, MANIFESTS, Descriptor, Index, Manifest

_ANY_DIGEST = re.compile(rb"sha256:([0-9a-f]{64})")

InUse = Callable[[], Iterable[Digest]]
"""Diff IDs of layers and chain IDs of views that records outside `index.json` need."""


class Needed:
    """Blobs by digest; layers and views by diff ID and chain ID; all in hex."""

    def __init__(self, blobs: Iterable[str] = (), layers: Iterable[str] = (), views: Iterable[str] = ()) -> None:
        self.blobs = set(blobs)
        self.layers = set(layers)
        self.views = set(views)

    def add(self, other: Needed) -> None:
        """Add the needs of `other`."""
        self.blobs |= other.blobs
        self.layers |= other.layers
        self.views |= other.views


def needed_by_all(layout: Layout, in_use: InUse, without: Collection[Digest] = ()) -> Needed:
    """Return the objects that must stay. Preconditions: the caller holds the remove lock.

    Args:
        without: entries (manifests, indexes) to ignore, though `index.json` has them.

    The leases are read first: an object that passes from a process to a record meanwhile is in one of the two.
    """
    needed = Needed()
    leased = read_leases(layout.locks)
    needed.blobs.update(digest.hex for digest in leased["blob"])
    needed.views.update(digest.hex for digest in leased["view"])
    _need_layers(layout, leased["layer"], needed)
    used = tuple(in_use())
    needed.views.update(digest.hex for digest in used)
    _need_layers(layout, used, needed)
    _mark(layout, (d for d in Catalog(layout).index.manifests if d.digest not in without), needed)
    return needed


def needed_by_entry(layout: Layout, entry: Descriptor) -> Needed:
    """Return the needs of one image: a manifest, or a multi-platform index with all that it lists."""
    needed = Needed()
    _mark(layout, (entry,), needed)
    return needed


def _mark(layout: Layout, roots: Iterable[Descriptor], needed: Needed) -> None:
    """Add everything that can be reached from `roots`."""
    pending = list(roots)
    seen: set[Digest] = set()
    while pending:
        descriptor = pending.pop()
        if descriptor.digest in seen:
            continue
        seen.add(descriptor.digest)
        needed.blobs.add(descriptor.digest.hex)
        pending += _references(layout, descriptor, needed)


def _need_stacks(layout: Layout, image: Image, needed: Needed) -> None:
    """Add the layers of an image in both forms, ordinary and lazy, and the views of its present and complete forms."""
    known = (found for found in map(lazy_id, image.manifest.layers) if found is not None)
    _need_layers(layout, (*image.diff_ids, *known), needed)
    with layout.joining(None):  # a remover must not wait for itself to add to a lease
        needed.views |= {image.chain_id.hex, chain_id(stack_ids(layout, image)).hex}


def _need_layers(layout: Layout, diff_ids: Iterable[Digest], needed: Needed) -> None:
    """Add layers, and the blobs that their indexes point into."""
    for diff_id in diff_ids:
        if diff_id.hex in needed.layers:
            continue
        needed.layers.add(diff_id.hex)
        directory = layout.layer_directory(diff_id)
        with suppress(FileNotFoundError, CorruptStore):
            needed.blobs.add(read_layer_meta(directory).blob.hex)


def _references(layout: Layout, descriptor: Descriptor, needed: Needed) -> Iterator[Descriptor]:
    """Yield the further documents that a document points to; add its other needs to `needed`."""
    try:
        if descriptor.media_type in MANIFESTS:
            manifest = Manifest.parse(layout.read_blob(descriptor.digest), str(descriptor.digest))
            needed.blobs.update(d.digest.hex for d in (manifest.config, *manifest.layers))
            config = ImageConfig.parse(layout.read_blob(manifest.config.digest), str(manifest.config.digest))
            _need_stacks(layout, Image(descriptor, manifest, config), needed)
            return
        if descriptor.media_type in INDEXES:
            yield from Index.parse(layout.read_blob(descriptor.digest), str(descriptor.digest)).manifests
            return
    except (BadManifest, CorruptStore):
        pass
    path = layout.blob_path(descriptor.digest)
    if path.exists() and path.stat().st_size <= DOCUMENT_BYTES_MAX:
        for found in _ANY_DIGEST.findall(path.read_bytes()):
            yield Descriptor("", Digest("sha256", found.decode()), 0)

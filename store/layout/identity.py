"""Which layers can be pulled lazily, and what they are called in the store.

Rules:
1. A lazy layer has an ID of its own, made of the digests of blob and table of contents, both of which the manifest
   vouches for. Its diff ID is a promise that nobody has checked yet: what another image says about the same diff ID, or
   the same blob, must never be believed of this one.
2. The stack of an image is its diff IDs, with the lazy ID in the place of a layer that is here only lazily.
"""

from __future__ import annotations

import re

from rootlay.store.layout.layout import Layout
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import BadManifest, NotFetched
from rootlay.store.model.image import Image
from rootlay.store.model.manifest import Descriptor
from rootlay.store.model.value import value

ESTARGZ_DIGEST = "containerd.io/snapshot/stargz/toc.digest"
_CHUNKED = "io.github.containers.zstd-chunked."
_POSITION = re.compile(r"(\d{1,15}):(\d{1,15}):(\d{1,15}):1\Z")


@value
class TocPlace:
    """Where the table of contents of a blob is, and its digest.

    For zstd:chunked: offset and length of its frame in the blob, and its length decompressed; the digest is that of the
    frame. For eStargz the blob's footer says where it is, and the digest is that of the JSON document.
    """

    kind: str  # "estargz" or "zstd:chunked"
    digest: Digest
    offset: int = 0
    length: int = 0
    toc_bytes: int = 0


def find_toc(descriptor: Descriptor) -> TocPlace | None:
    """What a layer's annotations say about its table of contents; None: it has none that the manifest vouches for."""
    notes = descriptor.annotations
    try:
        position = _POSITION.match(notes.get(_CHUNKED + "manifest-position", ""))
        if position is not None and _CHUNKED + "manifest-checksum" in notes:
            digest = Digest.parse(notes[_CHUNKED + "manifest-checksum"])
            return TocPlace("zstd:chunked", digest, *(int(text) for text in position.groups()))
        if ESTARGZ_DIGEST in notes:
            return TocPlace("estargz", Digest.parse(notes[ESTARGZ_DIGEST]))
    except BadManifest:
        return None
    return None


def lazy_id(descriptor: Descriptor) -> Digest | None:
    """The ID that a layer has while it is lazy; None: it cannot be."""
    place = find_toc(descriptor)
    return None if place is None else Digest.of(f"lazy layer {descriptor.digest} {place.digest}".encode())


def find_lazy(layout: Layout, descriptor: Descriptor) -> Digest | None:
    """The lazy ID of a layer, if it is here in this way."""
    found = lazy_id(descriptor)
    return found if found is not None and layout.has_layer(found) else None


def stack_ids(layout: Layout, image: Image) -> tuple[Digest, ...]:
    """By which IDs the layers of an image are here, base layer first."""
    found = []
    for descriptor, diff_id in zip(image.manifest.layers, image.diff_ids, strict=True):
        lazy = None if layout.has_blob(descriptor.digest) else find_lazy(layout, descriptor)
        found.append(lazy or diff_id)
    return tuple(found)


def check_whole(layout: Layout, image: Image) -> None:
    """Raise NotFetched if a layer is here only lazily."""
    for descriptor in image.manifest.layers:
        if not layout.has_blob(descriptor.digest) and find_lazy(layout, descriptor) is not None:
            raise NotFetched(image.references[0] if image.references else str(image.id))

"""The layers that can be pulled lazily, and their names in the store.

Rules:
1. A lazy layer has its own ID, made of the digests of blob and table of contents, which the manifest guarantees. Its
   diff ID is an unverified promise: facts about the same diff ID, or the same blob, in another image must never be
   applied to this one.
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
    """The place of the table of contents of a blob, and its digest.

    For zstd:chunked: offset and length of its frame in the blob, and its length decompressed; the digest is that of the
    frame. For eStargz the blob's footer gives the place, and the digest is that of the JSON document.
    """

    kind: str  # "estargz" or "zstd:chunked"
    digest: Digest
    offset: int = 0
    length: int = 0
    toc_bytes: int = 0


def find_toc(descriptor: Descriptor) -> TocPlace | None:
    """Return the place of a layer's table of contents from its annotations; None if the manifest guarantees none."""
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
    """Return the ID that a layer has while it is lazy; None: it cannot be lazy."""
    place = find_toc(descriptor)
    return None if place is None else Digest.of(f"lazy layer {descriptor.digest} {place.digest}".encode())


def find_lazy(layout: Layout, descriptor: Descriptor) -> Digest | None:
    """Return the lazy ID of a layer, if it is here in this form."""
    found = lazy_id(descriptor)
    return found if found is not None and layout.has_layer(found) else None


def stack_ids(layout: Layout, image: Image) -> tuple[Digest, ...]:
    """Return the IDs under which the layers of an image are here, base layer first."""
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

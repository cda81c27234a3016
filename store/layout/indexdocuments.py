"""The content of a multi-platform image: the documents below its index (OCI image specification, image-index.md).

Rules:
1. An index and the documents that it lists are kept bit for bit, under their digests: nothing here rewrites one.
2. Documents are in the order children first, so that storing or sending them in this order never leaves one that points
   to a missing document. Each appears once, however often it is listed.
3. Attestations of BuildKit, and images for systems other than Linux, are not loaded as images: their blobs are kept
   unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rootlay.store.layout.identity import find_lazy
from rootlay.store.layout.layout import Layout
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import BadManifest, CorruptStore, NotFetched, UnsupportedMedia
from rootlay.store.model.manifest import CONFIGS, INDEXES, MANIFESTS, Descriptor, Index, Manifest
from rootlay.store.model.mediasupport import is_foreign
from rootlay.store.model.platform import is_attestation
from rootlay.store.model.value import value

DEPTH_MAX = 8
# The largest official images list about 20 manifests; this bounds the reads that a hostile index causes.
INDEX_DOCUMENTS_MAX = 1000

ReadDocument = Callable[[Descriptor], bytes | None]


@value
class IndexDocument:
    """One document: an image manifest, or an index (`manifest` is None). `data` are its exact bytes."""

    descriptor: Descriptor
    data: bytes
    manifest: Manifest | None

    @property
    def is_image(self) -> bool:
        """Whether it can be loaded as an image: one for Linux (or without a stated system)."""
        if self.manifest is None or is_attestation(self.descriptor):
            return False
        platform = self.descriptor.platform
        return self.manifest.config.media_type in CONFIGS and (platform is None or platform.os in ("", "linux"))

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Config and layers, each digest once; none for an index."""
        found = () if self.manifest is None else (self.manifest.config, *self.manifest.layers)
        return tuple({blob.digest: blob for blob in found}.values())


def iter_index_documents(read: ReadDocument, top: Descriptor, what: str) -> Iterator[IndexDocument]:
    """Yield all documents from `top` down, children first and `top` last.

    Args:
        read: returns the verified bytes of a document; None: it is missing, and is skipped with all documents below it.

    Raises BadManifest, UnsupportedMedia (a document of an unknown kind), and what `read` raises.
    """
    seen: set[Digest] = set()

    def walk(descriptor: Descriptor, depth: int) -> Iterator[IndexDocument]:
        if descriptor.digest in seen:
            return
        seen.add(descriptor.digest)
        if len(seen) > INDEX_DOCUMENTS_MAX:
            raise BadManifest(what, f"its index lists more than {INDEX_DOCUMENTS_MAX} manifests")
        if descriptor.media_type in MANIFESTS:
            data = read(descriptor)
            if data is not None:
                yield IndexDocument(descriptor, data, Manifest.parse(data, f"{what}: {descriptor.digest}"))
            return
        if descriptor.media_type not in INDEXES:
            kind = descriptor.media_type[:100] or "no media type"
            raise UnsupportedMedia(f"{what}: {descriptor.digest.short}", f"neither a manifest nor an index: {kind}")
        if depth > DEPTH_MAX:
            raise BadManifest(what, f"indexes are nested more than {DEPTH_MAX} deep")
        data = read(descriptor)
        if data is None:
            return
        for child in Index.parse(data, f"{what}: {descriptor.digest}").manifests:
            yield from walk(child, depth + 1)
        yield IndexDocument(descriptor, data, None)

    return walk(top, 1)


def whole_index(layout: Layout, entry: Descriptor) -> list[IndexDocument]:
    """Return the documents of a multi-platform image of the store, for a caller that sends all of it elsewhere.

    Raises CorruptStore if something is missing, NotFetched if a layer was pulled lazily.
    """
    found = list(iter_index_documents(lambda descriptor: layout.read_blob(descriptor.digest), entry, str(entry.digest)))
    for blob in (blob for member in found for blob in member.blobs):
        if not layout.has_blob(blob.digest) and not is_foreign(blob):
            if find_lazy(layout, blob) is not None:
                raise NotFetched(str(entry.digest))
            raise CorruptStore(str(blob.digest), "the blob is missing")
    return found

"""Loading the layers of one image into the store, one after the other, except those that are there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from rootlay.store.codec.bytestream import iter_file
from rootlay.store.disk.regularfile import open_regular_stream
from rootlay.store.layer.ingest import LayerSource, ingest_layer
from rootlay.store.layer.layer import Layer
from rootlay.store.layer.writer import WrittenLayer
from rootlay.store.layout.identity import find_lazy
from rootlay.store.layout.layout import Layout
from rootlay.store.layout.stagedblob import LinkedBlob, StagedBlob
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import CorruptStore, DigestMismatch, NotFetched
from rootlay.store.model.image import Image
from rootlay.store.model.manifest import Descriptor
from rootlay.store.model.progress import Progress
from rootlay.store.tar.archive import promised


class LayerLoader:
    """A loader of layers that reports their bytes as one progress."""

    def __init__(self, layout: Layout, progress: Progress, label: str, total_bytes: int) -> None:
        self._layout = layout
        self._progress = progress
        self._label = label
        self._total_bytes = total_bytes
        self._done_bytes = 0

    def load(self, source: LayerSource, source_bytes: int) -> WrittenLayer:
        """Load a layer, unless it is here. Two callers load it one after the other: the second one finds it.

        Preconditions: `source.diff_id` is known. Raises as `ingest_layer`.
        """
        if source.diff_id is None:
            raise ValueError("a layer of an image needs a diff ID")
        with self._layout.lock(str(source.diff_id)):
            found = self._find(source)
            if found is None:
                base = self._done_bytes
                found = ingest_layer(
                    self._layout, source, lambda done: self._progress(base + done, self._total_bytes, self._label)
                )
        self._done_bytes += source_bytes
        self._progress(self._done_bytes, self._total_bytes, self._label)
        return found

    def _find(self, source: LayerSource) -> WrittenLayer | None:
        """Return the layer if it is here: indexed, with the blob that the manifest will name."""
        if source.diff_id is None:
            return None
        directory = self._layout.layer_directory(source.diff_id)
        if not self._layout.has_layer(source.diff_id):
            return None
        try:
            layer = Layer(directory, self._layout.blobs)
        except (CorruptStore, FileNotFoundError):
            return None
        meta = layer.meta
        layer.close()
        if not self._layout.has_blob(meta.blob):
            return None
        if source.descriptor is not None:
            here = self._layout.has_blob(source.descriptor.digest)
            return WrittenLayer(source.diff_id, source.descriptor) if here else None
        size = self._layout.blob_path(meta.blob).stat().st_size
        return WrittenLayer(source.diff_id, Descriptor(meta.media_type, meta.blob, size))


def index_missing(layout: Layout, image: Image, progress: Progress, *, lazily: bool = False) -> None:
    """Index the layers of `image` that have no index, from their blobs. Idempotent.

    Args:
        lazily: leave out lazily pulled layers that are not complete yet.

    Raises NotFetched (unless `lazily`), and as `ingest_layer`.
    """
    if all(layout.has_layer(diff_id) for diff_id in image.diff_ids):
        return
    loader = LayerLoader(layout, progress, image.id.short, sum(layer.size for layer in image.manifest.layers))
    with layout.holding():
        for descriptor, diff_id in zip(image.manifest.layers, image.diff_ids, strict=True):
            if not layout.has_blob(descriptor.digest) and find_lazy(layout, descriptor) is not None:
                if lazily:
                    continue
                raise NotFetched(image.references[0] if image.references else str(image.id))
            try:
                layout.claim("blob", (descriptor.digest,))
                stream = open_regular_stream(layout.blob_path(descriptor.digest), follow=True)
            except FileNotFoundError as error:
                raise CorruptStore(str(descriptor.digest), "the blob is missing") from error
            with stream:
                chunks = promised(iter_file(stream), descriptor.size, str(descriptor.digest))
                source = LayerSource(str(descriptor.digest), chunks, descriptor, diff_id)
                loader.load(source, descriptor.size)


def store_blob(layout: Layout, chunks: Iterable[bytes], blob: Descriptor, what: str, link: Path | None = None) -> None:
    """Store a blob unchanged, whatever its content. Durable, idempotent. Raises DigestMismatch, TooLarge.

    Args:
        link: the place of the blob, if it is to stay there.
    """
    if layout.has_blob(blob.digest):
        return
    digest = hashlib.new(blob.digest.algorithm)
    with layout.staging() as staging:
        staged = StagedBlob(staging / "blob") if link is None else LinkedBlob(staging / "blob", link)
        try:
            for chunk in promised(chunks, blob.size, what):
                layout.budget.take_bytes(len(chunk), what)
                digest.update(chunk)
                staged.write(chunk)
        finally:
            staged.finish()
        actual = f"{blob.digest.algorithm}:{digest.hexdigest()}"
        if actual != str(blob.digest):
            raise DigestMismatch(what, blob.digest, actual)
        if staged.size != blob.size:
            raise DigestMismatch(f"{what}: size", blob.size, staged.size)
        layout.publish_blob(staged.path, Digest(blob.digest.algorithm, digest.hexdigest()))

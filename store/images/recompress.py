"""The same image with another compression of its layers: other blobs and another manifest, the same image ID.

Rules:
1. The config, and so image ID and diff IDs, stays bit for bit. The manifest is an OCI one: Docker's has no zstd.
2. Deterministic for one version of zlib and zstd: the same image twice gives the same digests.
3. Nothing is written to the store: new blobs are in a directory of the caller.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rootlay.store.codec.codec import HEAD_BYTES, Compression, sniff
from rootlay.store.codec.gzipstream import GZIP_WINDOW_BITS
from rootlay.store.codec.zstdframes import FrameWriter
from rootlay.store.disk.regularfile import open_regular_stream
from rootlay.store.layer.writer import BLOB_LEVEL
from rootlay.store.layout.layout import Layout
from rootlay.store.layout.stagedblob import StagedBlob
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import CorruptStore, UnsupportedMedia
from rootlay.store.model.image import Image
from rootlay.store.model.manifest import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
    Descriptor,
)
from rootlay.store.model.progress import Progress, silent
from rootlay.store.model.value import replace, value

if TYPE_CHECKING:
    from rootlay.store.images.images import Images

_KINDS = {
    "gzip": (Compression.GZIP, OCI_LAYER_GZIP),
    "zstd": (Compression.ZSTD, OCI_LAYER_ZSTD),
    "none": (Compression.NONE, OCI_LAYER),
}
COMPRESSIONS = tuple(_KINDS)
FORMATS = ("oci", "docker")
"""Of a manifest. Podman reads a HEALTHCHECK only from Docker's."""
_DOCKER_TYPES = {OCI_LAYER_GZIP: DOCKER_LAYER_GZIP, OCI_LAYER: DOCKER_LAYER}
# The level of docker and gzip.
_GZIP_LEVEL = 6


@value
class Blobs:
    """The places of blobs: the new ones, and the store's."""

    layout: Layout
    made: Mapping[Digest, Path]

    def path(self, digest: Digest) -> Path:
        """Return the file of a blob."""
        return self.made.get(digest) or self.layout.blob_path(digest)


def check_compression(compression: str, manifest_format: str = "oci") -> None:
    """Raise UnsupportedMedia for a compression, or a format of the manifest, that we cannot write."""
    if compression not in _KINDS:
        raise UnsupportedMedia(compression, f"unknown compression: use {', '.join(COMPRESSIONS)}")
    if manifest_format not in FORMATS:
        raise UnsupportedMedia(manifest_format, f"unknown format of a manifest: use {', '.join(FORMATS)}")
    if manifest_format == "docker" and compression == "zstd":
        raise UnsupportedMedia("zstd", "Docker's manifest has no such layers; use gzip or none, or the format oci")


def recompress(
    store: Images,
    image: Image,
    compression: str,
    directory: Path,
    progress: Progress = silent,
    manifest_format: str = "oci",
) -> tuple[Image, Blobs]:
    """Return `image` with all its layers in `compression`; layers that have it already stay unchanged.

    Args:
        compression: one of COMPRESSIONS.
        manifest_format: one of FORMATS.
        directory: an empty directory of the caller, for the new blobs.

    Raises UnsupportedMedia, CorruptStore, DiskFull.
    """
    check_compression(compression, manifest_format)
    docker = manifest_format == "docker"
    media_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
    store.prepare(image)
    label = f"{image.id.short}: compressing"
    made: dict[Digest, Path] = {}
    layers = []
    done_bytes, total_bytes = 0, sum(layer.size for layer in image.manifest.layers)
    for layer, diff_id in zip(image.manifest.layers, image.diff_ids, strict=True):
        if _compression(store.layout.blob_path(layer.digest), str(layer.digest)) is _KINDS[compression][0]:
            layers.append(replace(layer, media_type=_KINDS[compression][1]))
        else:
            layers.append(_write(store, diff_id, compression, directory, made))
        done_bytes += layer.size
        progress(done_bytes, total_bytes, label)
    if docker:
        layers = [replace(layer, media_type=_DOCKER_TYPES[layer.media_type], annotations={}) for layer in layers]
    if tuple(layers) == image.manifest.layers and image.manifest.media_type == media_type:
        return image, Blobs(store.layout, {})
    config = replace(image.manifest.config, media_type=DOCKER_CONFIG if docker else OCI_CONFIG)
    annotations = {} if docker else image.manifest.annotations
    manifest = replace(
        image.manifest, media_type=media_type, config=config, layers=tuple(layers), annotations=annotations
    )
    document = manifest.to_bytes()
    digest = Digest.of(document)
    made[digest] = directory / "manifest"
    made[digest].write_bytes(document)
    descriptor = replace(image.descriptor, media_type=media_type, digest=digest, size=len(document))
    return Image(descriptor, manifest, image.config, image.references), Blobs(store.layout, made)


def _compression(path: Path, what: str) -> Compression:
    with open_regular_stream(path, follow=True) as stream:
        return sniff(stream.read(HEAD_BYTES), what)


def _write(store: Images, diff_id: Digest, compression: str, directory: Path, made: dict[Digest, Path]) -> Descriptor:
    """Write one layer again, verified against its diff ID."""
    staged = StagedBlob(directory / f"layer-{len(made)}")
    layer = store.layer(diff_id)
    tar_hash = hashlib.sha256()
    try:
        for piece in _encode(_hashed(layer.iter_tar(), tar_hash.update), compression):
            staged.write(piece)
    finally:
        layer.close()
        digest = staged.finish()
    if tar_hash.hexdigest() != diff_id.hex:
        raise CorruptStore(f"layer {diff_id}", "its content does not have the diff ID")
    made[digest] = staged.path
    return Descriptor(_KINDS[compression][1], digest, staged.size)


def _hashed(chunks: Iterable[bytes], update: Callable[[bytes], object]) -> Iterator[bytes]:
    for chunk in chunks:
        update(chunk)
        yield chunk


def _encode(chunks: Iterable[bytes], compression: str) -> Iterator[bytes]:
    if compression == "gzip":
        packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, GZIP_WINDOW_BITS)  # a header without name and time
        for chunk in chunks:
            yield packer.compress(chunk)
        yield packer.flush()
    elif compression == "zstd":
        frames = FrameWriter(BLOB_LEVEL)
        for chunk in chunks:
            yield from frames.write(chunk)
        yield from frames.finish()
    else:
        yield from chunks

"""`import`: an image of one layer from a root file system, a tar or a directory.

A gzipped tar is kept unchanged. A plain tar, an xz, a bzip2 or a directory becomes a layer of our form (many zstd
frames): no record names the digest of a plain tar as that of a layer yet, so the form is free. This form takes a
quarter of the space of a plain tar, is also read in place, and can be pushed unchanged.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from rootlay.store.codec.bytestream import iter_file
from rootlay.store.images.recording import add_image
from rootlay.store.layer.ingest import LayerSource, ingest_layer
from rootlay.store.layer.writer import WrittenLayer
from rootlay.store.layout.importing import importing
from rootlay.store.model.image import Image
from rootlay.store.model.imageconfig import History, ImageConfig, RunConfig
from rootlay.store.model.manifest import Platform
from rootlay.store.model.platform import host_platform
from rootlay.store.model.progress import Progress
from rootlay.store.model.reference import Reference
from rootlay.store.model.rfc3339 import rfc3339

if TYPE_CHECKING:
    from rootlay.store.images.images import Images


def import_rootfs(
    store: Images,
    source: Path | BinaryIO,
    reference: str | None,
    *,
    config: RunConfig | None,
    message: str,
    platform: Platform | None,
    created: datetime | None,
    progress: Progress,
) -> Image:
    """Import a tar (plain, gzip, zstd, xz, bzip2), a directory or a stream, as the image `reference`.

    Durable and all-or-nothing: if the import is killed, the store stays as before.

    Args:
        created: for the config and the history; the current time if None.
        platform: the platform of the root file system; this machine's if None.

    Raises:
        NotAnArchive, TruncatedArchive, UnsupportedMedia, UnsafePath, TooLarge: the input is bad.
        BadReference, FileNotFoundError, StoreNotWritable, DiskFull.
    """
    if reference is not None:
        Reference.parse(reference)
    what = str(source) if isinstance(source, Path) else "standard input"
    moment = rfc3339(created or datetime.now(UTC))
    with importing(store.layout):
        layer = _layer(store, source, what, progress)
        history = History(created=moment, created_by="", comment=message or f"Imported from {os.path.basename(what)}")
        found = platform or host_platform()
        image_config = ImageConfig(
            found.os, found.architecture, found.variant, config=config or RunConfig()
        ).with_layer(layer.diff_id, history)
        return add_image(store, image_config, (layer.descriptor,), reference)


def _layer(store: Images, source: Path | BinaryIO, what: str, progress: Progress) -> WrittenLayer:
    if not isinstance(source, Path):
        return _from_stream(store, source, what, None, progress)
    if source.is_dir():
        from rootlay.store.layer.fromdirectory import write_tree

        return write_tree(store.layout, source, progress)
    with open(source, "rb", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size if source.is_file() else None
        return _from_stream(store, stream, what, size, progress)


def _from_stream(store: Images, stream: BinaryIO, what: str, total: int | None, progress: Progress) -> WrittenLayer:
    chunks: Iterator[bytes] = iter_file(stream)
    label = os.path.basename(what)
    return ingest_layer(
        store.layout, LayerSource(what, chunks, needs_end=True), lambda done: progress(done, total, label)
    )

"""Registration of an image of a read-only store in a writable one: all its parts stay in their place.

Blobs, layer indexes, packs and views become symbolic links (docs/format.md, its beginning); derived data, hydrated
files above all, is written to the new store. Nothing is read: the source store has verified everything.
"""

from __future__ import annotations

import os
from pathlib import Path

from rootlay.store.disk.durable import make_directory
from rootlay.store.layout.importing import importing
from rootlay.store.layout.layerfiles import INDEX_NAME, PACK_NAME
from rootlay.store.layout.layout import Layout
from rootlay.store.model.image import Image
from rootlay.store.model.imagenames import NameTable
from rootlay.store.model.reference import Reference
from rootlay.store.model.value import replace

_VIEWS = (".lmdb.base", ".view.base", ".lmdb", ".view")


def link_image(source: Layout, image: Image, target: Layout) -> Image:
    """Register `image` of `source` in `target`, under its names. Idempotent; a crash leaves garbage at most.

    Returns:
        The image in `target`: for a multi-platform one, the single image that was chosen.

    Raises StoreNotWritable, DiskFull.
    """
    with importing(target), target.staging():
        for digest in (image.manifest_digest, image.id, *(layer.digest for layer in image.manifest.layers)):
            _link(source.blob_path(digest), target.blob_path(digest))
        for diff_id in image.diff_ids:
            make_directory(target.layer_directory(diff_id))
            for name in (PACK_NAME, INDEX_NAME):
                _link(source.layer_directory(diff_id) / name, target.layer_directory(diff_id) / name)
        for suffix in _VIEWS:
            name = image.chain_id.hex + suffix
            _link(source.views / name, target.views / name)
        target.update_names(lambda names: _add_names(names, image))
    return replace(image, index=None)


def _add_names(names: NameTable, image: Image) -> None:
    for name in image.references or (None,):
        names.add(image.descriptor, None if name is None else Reference.parse(name))


def _link(source: Path, link: Path) -> None:
    """Link to a file, if it exists; an existing name stays, unless it leads nowhere."""
    if not source.exists() or link.exists():
        return
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.realpath(source))

"""Read-only overlays: of a whole image, of one layer of it, of the machine's own root.

Rules:
1. Only derived data is made (the view of a stack, docs/format.md §4), and no container.
2. Every change raises EROFS: there is no upper.
3. A layer alone is the stack of that layer: its chain ID is its diff ID, so it has a separate view. The names that it
   removes from the layers below are not in a view; `rootlay.vfs.overlay.origin` reads them from the layer's index.
"""

from __future__ import annotations

import os
from pathlib import Path

from rootlay.store.bundle.format import is_bundle
from rootlay.store.containers.record import HOST_IMAGE
from rootlay.store.model.digest import Digest, chain_id
from rootlay.store.model.image import Image
from rootlay.store.store import ImageStore
from rootlay.vfs.containers.ensureview import ensure_view
from rootlay.vfs.merge.stack import DirLayer, Stack
from rootlay.vfs.overlay.containerstack import open_stack
from rootlay.vfs.overlay.overlay import Overlay


def open_image(root: Path, image: Image) -> Overlay:
    """Open the merged tree of an image of the store. The caller closes it.

    Raises:
        CorruptStore: a view or layer is damaged.
    """
    layers = ensure_view(ImageStore.open(root), image)
    return Overlay(open_stack(root, (), str(chain_id(layers))), owned=True)


def open_layer(root: Path, image: Image, diff_id: Digest) -> Overlay:
    """Open one layer of an image as a separate tree. The caller closes it.

    Raises:
        CorruptStore: the layer is damaged.
        BrokenHardLink: it has a hard link to a file of a layer below, which a separate tree cannot show.
    """
    from rootlay.store.view.build import build_view

    store = ImageStore.open(root)
    store.prepare(image)
    build_view(store, (diff_id,))
    return Overlay(open_stack(root, (), str(diff_id)), owned=True)


def open_without_store(root: Path, reference: str) -> Overlay:
    """Open the tree of `host`, or of the bundle at a path. The caller closes it.

    Raises as `rootlay.store.bundle.attach.attach`.
    """
    if reference == HOST_IMAGE:
        return Overlay(Stack((DirLayer.at("/"),)))
    from rootlay.store.bundle.attach import attach

    ImageStore.open(root)
    bundle = attach(root, Path(reference))
    try:
        return Overlay(open_stack(root, (), str(bundle.id)), owned=True)
    finally:
        bundle.close()


def find_bundle(reference: str) -> str | None:
    """Return the real path of a bundle if a reference is the path of one."""
    return os.path.realpath(reference) if "/" in reference and is_bundle(reference) else None

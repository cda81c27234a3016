"""The view of an image's stack of layers, made when it is needed first."""

from __future__ import annotations

from rootlay.store.model.digest import Digest, chain_id
from rootlay.store.model.image import Image
from rootlay.store.store import ImageStore


def ensure_view(store: ImageStore, image: Image) -> tuple[Digest, ...]:
    """Index the layers of an image and build their merged view, unless that is done: once for each stack.

    Returns the IDs of the layers in this store: the diff IDs, unless some were pulled lazily.
    """
    store.layout.claim("view", (image.chain_id,))
    store.layout.claim("layer", image.diff_ids)
    name = image.chain_id.hex
    views = store.root / "views"
    if (views / f"{name}.view").exists() and (views / f"{name}.lmdb").exists():
        return image.diff_ids
    from rootlay.store.view.build import build_view

    layers = store.prepare_stack(image)
    store.layout.claim("view", (chain_id(layers),))
    build_view(store, layers)
    return layers

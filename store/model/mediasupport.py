"""The supported features of a manifest, checked before a layer is read: for archives and registries alike.

Foreign layers (OCI: nondistributable; Docker: foreign) may be stored elsewhere than their image: they are loaded like
any other if they are there, and are a clear error if they are not.
"""

from __future__ import annotations

from rootlay.store.model.errors import BadManifest, UnsupportedMedia
from rootlay.store.model.imageconfig import ImageConfig
from rootlay.store.model.manifest import CONFIGS, Descriptor, Manifest

# OCI image specification, layer.md ("Non-Distributable Layers"); Docker's manifest V2, schema 2.
_FOREIGN = ("application/vnd.oci.image.layer.nondistributable.", "application/vnd.docker.image.rootfs.foreign.")
_ENCRYPTED = "+encrypted"


def check_kind(manifest: Manifest, what: str) -> None:
    """Raise UnsupportedMedia for an object that only looks like an image (a chart, a signature, an attestation)."""
    if manifest.config.media_type not in CONFIGS:
        raise UnsupportedMedia(what, f"not an image: {manifest.config.media_type[:100]}")


def check_layers(manifest: Manifest, config: ImageConfig, what: str) -> None:
    """Raise BadManifest or UnsupportedMedia unless all layers are supported."""
    if len(config.diff_ids) != len(manifest.layers):
        raise BadManifest(what, f"{len(manifest.layers)} layers, but {len(config.diff_ids)} diff IDs in the config")
    for layer in manifest.layers:
        if layer.digest.algorithm != "sha256":
            raise UnsupportedMedia(what, f"layers with digests by {layer.digest.algorithm} are not supported")
        if layer.media_type.endswith(_ENCRYPTED):
            raise UnsupportedMedia(what, f"layer {layer.digest.short} is encrypted; decrypt the image first")


def is_foreign(layer: Descriptor) -> bool:
    """Return whether the layer's content may be stored elsewhere than its image."""
    return layer.media_type.startswith(_FOREIGN)


def missing_foreign(layer: Descriptor, what: str) -> UnsupportedMedia:
    """Return the error for a foreign layer that is not with its image."""
    urls = layer.extra.get("urls")
    where = f" (it is said to be at {str(urls[0])[:100]})" if isinstance(urls, list) and urls else ""
    reason = f"layer {layer.digest.short} is foreign, its content is not distributed with the image{where}"
    return UnsupportedMedia(what, reason)

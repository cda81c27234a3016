"""An image in the store: a value, read once; a later change of its names does not show in it."""

from __future__ import annotations

from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import BadManifest
from rootlay.store.model.imageconfig import ImageConfig
from rootlay.store.model.manifest import Descriptor, Manifest
from rootlay.store.model.value import value


@value
class Image:
    """One image: config, manifest, and the names it had when it was read.

    `index`: the multi-platform index that the names lead to, from which this image was chosen. Without it the names
    (and `index.json`) lead to the manifest itself.
    """

    descriptor: Descriptor  # of the manifest, as the index has it
    manifest: Manifest
    config: ImageConfig
    references: tuple[str, ...] = ()  # familiar form, `debian:latest`
    index: Descriptor | None = None

    def __post_init__(self) -> None:
        """Raise BadManifest unless layers and diff IDs pair up."""
        if len(self.manifest.layers) != len(self.config.diff_ids):
            raise BadManifest(
                str(self.manifest_digest),
                f"{len(self.manifest.layers)} layers, but {len(self.config.diff_ids)} diff IDs in the config",
            )

    @property
    def id(self) -> Digest:
        """The image ID: the digest of the config."""
        return self.manifest.config.digest

    @property
    def entry(self) -> Descriptor:
        """The descriptor in `index.json`: of the multi-platform index, or of the manifest."""
        return self.index or self.descriptor

    @property
    def manifest_digest(self) -> Digest:
        """The digest of the manifest."""
        return self.descriptor.digest

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        """The layers' diff IDs, base layer first."""
        return self.config.diff_ids

    @property
    def chain_id(self) -> Digest:
        """The chain ID of all layers: the name of the view."""
        return self.config.chain_id

    @property
    def created(self) -> str:
        """The time of its creation, RFC 3339; empty if the image does not state it."""
        return self.config.created

    @property
    def size(self) -> int:
        """Bytes of all its blobs, in their compressed form."""
        return self.descriptor.size + self.manifest.config.size + sum(layer.size for layer in self.manifest.layers)


@value
class ImageRecord:
    """One line of a listing: an image under one of its names, or under none.

    A multi-platform image is one line: `id` and `created` are those of its image for this machine, `manifest_digest` is
    that of the index, `size` counts all blobs, and `platforms` names what it holds; otherwise that is empty.
    """

    reference: str | None
    id: Digest
    manifest_digest: Digest
    created: str
    size: int
    platforms: tuple[str, ...] = ()

"""Recording of images: their config, manifest and name, after their layers are in the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing

from rootlay.store.images.images import Images
from rootlay.store.layout.blobcheck import check_blobs, check_present
from rootlay.store.layout.catalog import Catalog
from rootlay.store.layout.identity import stack_ids
from rootlay.store.layout.importing import importing
from rootlay.store.layout.indexdocuments import IndexDocument
from rootlay.store.model.errors import BadManifest
from rootlay.store.model.image import Image
from rootlay.store.model.imageconfig import ImageConfig
from rootlay.store.model.manifest import OCI_CONFIG, OCI_MANIFEST, Descriptor, Manifest, Platform
from rootlay.store.model.reference import Reference


def add_image(
    images: Images,
    config: ImageConfig,
    layers: Sequence[Descriptor],
    reference: str | None,
    *,
    config_bytes: bytes = b"",
    annotations: Mapping[str, str] | None = None,
) -> Image:
    """Record an image of layers that are in the store. Durable; `index.json` changes last.

    Args:
        config: its diff IDs belong to `layers`, base layer first.
        reference: its name, which is taken from another image; None for an image without a name.
        config_bytes: the document that `config` was parsed from, if the image ID must be kept.
        annotations: of the manifest.

    Raises BadReference, BadManifest, CorruptStore (a blob is missing), StoreNotWritable, DiskFull.
    """
    name = None if reference is None else Reference.parse(reference)
    document = config_bytes or config.to_bytes()
    with importing(images.layout):
        digest = images.layout.add_blob(document)
        described = Descriptor(OCI_CONFIG, digest, len(document))
        manifest = Manifest(OCI_MANIFEST, described, tuple(layers), annotations or {})
        return add_manifest(images, manifest.to_bytes(), name, config.platform)


def add_manifest(images: Images, document: bytes, name: Reference | None, platform: Platform | None = None) -> Image:
    """Record an image whose config and layers are in the store, by its manifest's bytes.

    Preconditions: the caller is inside `importing(layout)` since it stored the first of the blobs.

    Raises BrokenHardLink for layers that do not fit together.
    """
    manifest = Manifest.parse(document, "manifest")
    check_present(images.layout, manifest)
    digest = images.layout.add_blob(document)
    plain = Descriptor(manifest.media_type, digest, len(document), platform=platform)
    check_links(images, Catalog(images.layout).read(plain))
    images.layout.update_names(lambda names: names.add(plain, name))
    return Catalog(images.layout).read(plain)  # with its names


def add_index(images: Images, documents: Iterable[IndexDocument], name: Reference | None) -> Image:
    """Record a multi-platform image whose blobs are in the store: its documents, children first.

    Preconditions and errors as `add_manifest`.
    """
    top: Descriptor | None = None
    catalog = Catalog(images.layout)
    for found in documents:
        if found.manifest is not None:
            check_blobs(images.layout, found.blobs)
        top = Descriptor(found.descriptor.media_type, found.descriptor.digest, len(found.data))
        images.layout.add_blob(found.data, top.digest)
        if found.is_image:
            check_links(images, catalog.read(found.descriptor))
    if top is None:
        raise BadManifest("index", "no documents")
    entry = top
    images.layout.update_names(lambda names: names.add(entry, name))
    return Catalog(images.layout).read(entry)


def check_links(images: Images, image: Image) -> None:
    """Raise BrokenHardLink for an unusable image, before it gets a name.

    Only a hard link to a name of a lower layer can fail, and few images have one: for those the view is built now.
    Layers without an index are checked when they are indexed.
    """
    ids = stack_ids(images.layout, image)
    if not all(map(images.layout.has_layer, ids)):
        return
    for diff_id in dict.fromkeys(ids):
        with closing(images.layer(diff_id)) as layer:
            if layer.meta.lower_links != 0:
                from rootlay.store.view.build import build_view

                build_view(images, ids)
                return

"""Loading images from an OCI image layout (image-layout.md): manifests and blobs are kept bit for bit."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rootlay.store.exchange.indexload import gather, load_index, require_platform
from rootlay.store.exchange.ocichoose import (
    choose_each,
    document_of,
    images_only,
    known_only,
    name_of,
    names_of,
    pick_named,
    resolve,
)
from rootlay.store.images.recording import add_manifest
from rootlay.store.layer.ingest import LayerSource
from rootlay.store.layer.load import LayerLoader
from rootlay.store.layout.importing import importing
from rootlay.store.layout.indexdocuments import IndexDocument
from rootlay.store.model.errors import (
    BadManifest,
    BadReference,
    NotAnArchive,
    RootlayError,
    UnknownImage,
)
from rootlay.store.model.image import Image
from rootlay.store.model.imageconfig import ImageConfig, check_platform
from rootlay.store.model.manifest import (
    INDEXES,
    Descriptor,
    Index,
    Manifest,
    Platform,
)
from rootlay.store.model.mediasupport import check_kind, check_layers, is_foreign, missing_foreign
from rootlay.store.model.platform import host_platform
from rootlay.store.model.progress import Note, Progress, unheard
from rootlay.store.model.reference import Reference
from rootlay.store.tar.archive import DirectoryFiles, ImageFiles, LinkedFiles, blob_chunks, blob_name, read_document

if TYPE_CHECKING:
    from rootlay.store.images.images import Images

Platforms = Literal["one", "all", "whole"]


def load_oci(
    store: Images,
    files: ImageFiles,
    name: Reference | None,
    wanted: Platform,
    progress: Progress,
    only: Collection[str] = (),
    note: Note = unheard,
    platforms: Platforms = "one",
) -> list[Image]:
    """Load all images that `index.json` names, or those in `only`, for the platform `wanted`.

    Objects other than images (a signature, an attestation, a chart) are left out with a note, unless there is nothing
    else.

    Args:
        platforms: for a multi-platform image load `one`, `all`, or all if all is there (`whole`).

    Raises as `rootlay.store.exchange.load`.
    """
    index = Index.parse(read_document(files, "index.json"), f"{files.what}: index.json")
    chosen = images_only(files, choose_each(known_only(files, index, note), wanted), note)
    if only:
        named = {str(found): descriptor for descriptor in chosen if (found := name_of(descriptor)) is not None}
        chosen = [pick_named(named, text) for text in dict.fromkeys(only)]
    if not chosen:
        raise BadManifest(f"{files.what}: index.json", "it names no image")
    check_single(name, len(chosen))
    return [
        _load_whole(store, files, descriptor, name or name_of(descriptor), wanted, progress, platforms)
        or _load_image(store, files, descriptor, name or name_of(descriptor), wanted, progress)
        for descriptor in chosen
    ]


def load_unnamed(store: Images, directory: Path, wanted: Platform, progress: Progress, pick: str = "") -> Image:
    """Load one image of an OCI layout directory, without a name.

    Args:
        pick: its digest, tag or name in the layout; empty: `latest`, or the only one.

    Raises UnknownImage, and as `rootlay.store.exchange.load`.
    """
    files = DirectoryFiles(directory)
    if not files.has("index.json"):
        raise NotAnArchive(files.what, "not an OCI layout: index.json is missing")
    index = known_only(files, Index.parse(read_document(files, "index.json"), f"{files.what}: index.json"), unheard)
    chosen = choose_each(index, wanted)
    named = [found for found in index.manifests if str(found.digest) == pick]
    named = named or [found for found in chosen if (pick or "latest") in names_of(found)]
    if not named and not pick and len(chosen) == 1:
        named = chosen
    if not named:
        raise UnknownImage(f"{directory}:{pick or 'latest'}")
    with importing(store.layout):
        return _load_image(store, files, named[0], None, wanted, progress)


def check_single(name: Reference | None, count: int) -> None:
    """Raise BadReference if one name is given for several images."""
    if name is not None and count != 1:
        raise BadReference(name.familiar, f"it cannot name {count} images: load them without a name, or choose one")


def read_image(files: ImageFiles) -> Image:
    """Return the image of an OCI layout without reading its layers. Raises BadManifest, DigestMismatch."""
    index = Index.parse(read_document(files, "index.json"), f"{files.what}: index.json")
    if not index.manifests:
        raise BadManifest(f"{files.what}: index.json", "it names no image")
    descriptor, document = resolve(files, index.manifests[0], host_platform())
    manifest = Manifest.parse(document, f"{files.what}: {descriptor.digest}")
    config = ImageConfig.parse(document_of(files, manifest.config), f"{files.what}: {manifest.config.digest}")
    names = (name_of(found) for found in index.manifests)
    return Image(descriptor, manifest, config, tuple(name.familiar for name in names if name is not None))


def _load_whole(
    store: Images,
    files: ImageFiles,
    top: Descriptor,
    name: Reference | None,
    wanted: Platform,
    progress: Progress,
    platforms: Platforms,
) -> Image | None:
    """Load a multi-platform image with all that it lists; return None if that is not possible or not wanted."""
    if platforms == "one" or top.media_type not in INDEXES:
        return None

    def read(descriptor: Descriptor) -> bytes:
        return document_of(files, descriptor)

    def load_image(member: IndexDocument) -> None:
        unsaid = platforms == "whole" and member.descriptor.platform is None  # then the config has to state it
        _bring(store, files, member.descriptor, member.data, name, wanted if unsaid else None, progress)

    try:
        members = gather(files, read, top)
        if platforms == "whole":
            require_platform(members, wanted)
    except RootlayError:
        if platforms == "all":
            raise
        return None  # some of it is missing: docker saves only its own platform; or nothing is for us
    return load_index(store, files, members, name, load_image)


def _load_image(
    store: Images, files: ImageFiles, top: Descriptor, name: Reference | None, wanted: Platform, progress: Progress
) -> Image:
    descriptor, document = resolve(files, top, wanted)
    config = _bring(store, files, descriptor, document, name, wanted, progress)
    return add_manifest(store, document, name, config.platform)


def _bring(
    store: Images,
    files: ImageFiles,
    descriptor: Descriptor,
    document: bytes,
    name: Reference | None,
    wanted: Platform | None,
    progress: Progress,
) -> ImageConfig:
    """Load the config and layers of an image; `wanted` None: for any platform."""
    what = f"{files.what}: {descriptor.digest}"
    manifest = Manifest.parse(document, what)
    check_kind(manifest, what)
    config_bytes = document_of(files, manifest.config)
    config = ImageConfig.parse(config_bytes, f"{files.what}: {manifest.config.digest}")
    if wanted is not None:
        check_platform(config, wanted)
    check_layers(manifest, config, what)
    for layer in manifest.layers:
        if is_foreign(layer) and not files.has(blob_name(layer.digest)):
            raise missing_foreign(layer, what)
    label = name.familiar if name is not None else manifest.config.digest.short
    load_layers(store, files, Image(descriptor, manifest, config), label, progress)
    store.layout.add_blob(config_bytes, manifest.config.digest)
    return config


def load_layers(store: Images, files: ImageFiles, image: Image, label: str, progress: Progress) -> None:
    """Load the layers of an image in `files`. Preconditions: the caller is inside `importing(layout)`."""
    loader = LayerLoader(store.layout, progress, label, sum(layer.size for layer in image.manifest.layers))
    for layer, diff_id in zip(image.manifest.layers, image.diff_ids, strict=True):
        path = blob_name(layer.digest)
        link = files.real_path(path) if isinstance(files, LinkedFiles) else None
        source = LayerSource(f"{files.what}: {path}", blob_chunks(files, layer), layer, diff_id, link=link)
        loader.load(source, layer.size)

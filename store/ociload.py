"""Images out of an OCI image layout (image-layout.md): manifests and blobs are kept bit for bit."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rootlay.store.archive import DirectoryFiles, ImageFiles, LinkedFiles, blob_name, read_document
from rootlay.store.errors import (
    BadManifest,
    BadReference,
    DigestMismatch,
    NotAnArchive,
    StoreError,
    UnknownImage,
    UnsupportedMedia,
    WrongPlatform,
)
from rootlay.store.image import Image
from rootlay.store.imageconfig import ImageConfig
from rootlay.store.indexload import gather, load_index, require_platform
from rootlay.store.ingest import LayerSource
from rootlay.store.layercheck import check_kind, check_layers, is_foreign, missing_foreign
from rootlay.store.layerload import LayerLoader
from rootlay.store.manifest import (
    CONFIGS,
    CONTAINERD_NAME,
    INDEXES,
    MANIFESTS,
    OCI_CONFIG,
    Descriptor,
    Index,
    Manifest,
    Platform,
)
from rootlay.store.members import DEPTH_MAX, Member
from rootlay.store.platform import choose, fits, host_platform, is_attestation
from rootlay.store.progress import Note, Progress, unheard
from rootlay.store.reference import Reference
from rootlay.store.value import replace

if TYPE_CHECKING:
    from rootlay.store.store import Store

Platforms = Literal["one", "all", "whole"]


def load_oci(
    store: Store,
    files: ImageFiles,
    name: Reference | None,
    wanted: Platform,
    progress: Progress,
    only: Collection[str] = (),
    note: Note = unheard,
    platforms: Platforms = "one",
) -> list[Image]:
    """Load all images that `index.json` names, or those in `only`, for the platform `wanted`.

    What is no image (a signature, an attestation, a chart) is left out with a note, unless there is nothing else.

    Args:
        platforms: of a multi-platform image take `one`, `all`, or all if all is there (`whole`).

    Raises as `rootlay.store.load`.
    """
    index = Index.parse(read_document(files, "index.json"), f"{files.what}: index.json")
    chosen = _images_only(files, _choose_each(_known_only(files, index, note), wanted), note)
    if only:
        named = {str(found): descriptor for descriptor in chosen if (found := _name(descriptor)) is not None}
        chosen = [_pick(named, text) for text in dict.fromkeys(only)]
    if not chosen:
        raise BadManifest(f"{files.what}: index.json", "it names no image")
    check_single(name, len(chosen))
    return [
        _load_whole(store, files, descriptor, name or _name(descriptor), wanted, progress, platforms)
        or _load_image(store, files, descriptor, name or _name(descriptor), wanted, progress)
        for descriptor in chosen
    ]


def load_unnamed(store: Store, directory: Path, wanted: Platform, progress: Progress, pick: str = "") -> Image:
    """One image of an OCI layout directory, which gets no name here.

    Args:
        pick: its digest, tag or name there; empty: `latest`, or the only one.

    Raises UnknownImage, and as `rootlay.store.load`.
    """
    files = DirectoryFiles(directory)
    if not files.has("index.json"):
        raise NotAnArchive(files.what, "not an OCI layout: there is no index.json")
    index = _known_only(files, Index.parse(read_document(files, "index.json"), f"{files.what}: index.json"), unheard)
    chosen = _choose_each(index, wanted)
    named = [found for found in index.manifests if str(found.digest) == pick]
    named = named or [found for found in chosen if (pick or "latest") in _names(found)]
    if not named and not pick and len(chosen) == 1:
        named = chosen
    if not named:
        raise UnknownImage(f"{directory}:{pick or 'latest'}")
    with store.layout.importing():
        return _load_image(store, files, named[0], None, wanted, progress)


def _names(descriptor: Descriptor) -> set[str]:
    """All that a layout calls an image: what it says, and the tag of that."""
    name = _name(descriptor)
    return {descriptor.ref_name or "", *((name.familiar, name.tag or "") if name is not None else ())}


def _known_only(files: ImageFiles, index: Index, note: Note) -> Index:
    """The index without what cannot be an image by its media type or annotations."""
    kept: list[Descriptor] = []
    left: list[str] = []
    for descriptor in index.manifests:
        kind = "attestation" if is_attestation(descriptor) else descriptor.media_type
        if kind in INDEXES | MANIFESTS:
            kept.append(descriptor)
        else:
            left.append(f"{files.what}: {descriptor.digest.short} is no image ({kind[:100] or 'no media type'})")
    if left and not kept:
        raise UnsupportedMedia(files.what, f"no image in it: {left[0].rpartition(': ')[2]}")
    for line in left:
        note(f"{line}: left out")
    return replace(index, manifests=tuple(kept))


def _images_only(files: ImageFiles, chosen: list[Descriptor], note: Note) -> list[Descriptor]:
    """Those of `chosen` whose manifest has the config of an image."""
    kinds = {descriptor.digest: _config_kind(files, descriptor) for descriptor in chosen}
    kept = [descriptor for descriptor in chosen if kinds[descriptor.digest] in CONFIGS]
    if not kept:
        return chosen  # loading says what is wrong
    for digest, kind in kinds.items():
        if kind not in CONFIGS:
            note(f"{files.what}: {digest.short} is no image ({kind[:100]}): left out")
    return kept


def _config_kind(files: ImageFiles, descriptor: Descriptor) -> str:
    """The media type of a manifest's config. An index is taken for one of images."""
    if descriptor.media_type in INDEXES:
        return OCI_CONFIG
    return Manifest.parse(_document(files, descriptor), f"{files.what}: {descriptor.digest}").config.media_type


def _pick(named: dict[str, Descriptor], text: str) -> Descriptor:
    """The descriptor of the image `text`. Raises UnknownImage, BadReference."""
    found = named.get(str(Reference.parse(text).with_default_tag()))
    if found is None:
        raise UnknownImage(text)
    return found


def check_single(name: Reference | None, count: int) -> None:
    """Raise BadReference where one name is given for several images."""
    if name is not None and count != 1:
        raise BadReference(name.familiar, f"one name for {count} images")


def _choose_each(index: Index, wanted: Platform) -> list[Descriptor]:
    """One descriptor for each name; without a name each is an image of its own, unless platforms tell them apart."""
    groups: dict[str, list[Descriptor]] = {}
    for descriptor in index.manifests:
        key = descriptor.annotations.get(CONTAINERD_NAME) or descriptor.ref_name or ""
        if not key and descriptor.platform is None:
            key = f"@{descriptor.digest}"
        groups.setdefault(key, []).append(descriptor)
    return [group[0] if len(group) == 1 else choose(group, wanted) for group in groups.values()]


def _name(descriptor: Descriptor) -> Reference | None:
    """The name that the layout gives an image: containerd's annotation has it in full."""
    for text in (descriptor.annotations.get(CONTAINERD_NAME), descriptor.ref_name):
        if text:
            try:
                return Reference.parse(text).with_default_tag()
            except BadReference:
                continue
    return None


def _document(files: ImageFiles, descriptor: Descriptor) -> bytes:
    """A manifest, index or config, verified."""
    data = read_document(files, blob_name(descriptor.digest))
    actual = hashlib.new(descriptor.digest.algorithm, data).hexdigest()
    if actual != descriptor.digest.hex:
        raise DigestMismatch(
            f"{files.what}: {blob_name(descriptor.digest)}",
            descriptor.digest,
            f"{descriptor.digest.algorithm}:{actual}",
        )
    return data


def _resolve(files: ImageFiles, descriptor: Descriptor, wanted: Platform) -> tuple[Descriptor, bytes]:
    """The descriptor and bytes of the image manifest for `wanted`, through nested indexes."""
    for _ in range(DEPTH_MAX):
        if descriptor.media_type not in INDEXES | MANIFESTS:
            raise UnsupportedMedia(f"{files.what}: {descriptor.digest}", f"not an image: {descriptor.media_type}")
        data = _document(files, descriptor)
        if descriptor.media_type in MANIFESTS:
            return descriptor, data
        nested = Index.parse(data, f"{files.what}: {descriptor.digest}")
        if len(nested.manifests) == 1 and nested.manifests[0].platform is None:
            descriptor = nested.manifests[0]
        else:
            descriptor = choose(nested.manifests, wanted)
    raise BadManifest(f"{files.what}: index.json", f"indexes are nested more than {DEPTH_MAX} deep")


def check_platform(config: ImageConfig, wanted: Platform) -> None:
    """Raise WrongPlatform for an image that says it is for something else."""
    if config.architecture and not fits(wanted, config.platform):
        raise WrongPlatform(str(wanted), (str(config.platform),))


def read_image(files: ImageFiles) -> Image:
    """The image that an OCI layout has, without a look at its layers. Raises BadManifest, DigestMismatch."""
    index = Index.parse(read_document(files, "index.json"), f"{files.what}: index.json")
    if not index.manifests:
        raise BadManifest(f"{files.what}: index.json", "it names no image")
    descriptor, document = _resolve(files, index.manifests[0], host_platform())
    manifest = Manifest.parse(document, f"{files.what}: {descriptor.digest}")
    config = ImageConfig.parse(_document(files, manifest.config), f"{files.what}: {manifest.config.digest}")
    names = (_name(found) for found in index.manifests)
    return Image(descriptor, manifest, config, tuple(name.familiar for name in names if name is not None))


def _load_whole(
    store: Store,
    files: ImageFiles,
    top: Descriptor,
    name: Reference | None,
    wanted: Platform,
    progress: Progress,
    platforms: Platforms,
) -> Image | None:
    """A multi-platform image with all that it lists; None where one image of it, or the only one, is to be taken."""
    if platforms == "one" or top.media_type not in INDEXES:
        return None

    def read(descriptor: Descriptor) -> bytes:
        return _document(files, descriptor)

    def load_image(member: Member) -> None:
        unsaid = platforms == "whole" and member.descriptor.platform is None  # then the config has to say it
        _bring(store, files, member.descriptor, member.data, name, wanted if unsaid else None, progress)

    try:
        members = gather(files, read, top)
        if platforms == "whole":
            require_platform(members, wanted)
    except StoreError:
        if platforms == "all":
            raise
        return None  # some of it is elsewhere: docker saves only the platform that it has; or nothing is for us
    return load_index(store, files, members, name, load_image)


def _load_image(
    store: Store, files: ImageFiles, top: Descriptor, name: Reference | None, wanted: Platform, progress: Progress
) -> Image:
    descriptor, document = _resolve(files, top, wanted)
    config = _bring(store, files, descriptor, document, name, wanted, progress)
    return store.add_manifest(document, name, config.platform)


def _bring(
    store: Store,
    files: ImageFiles,
    descriptor: Descriptor,
    document: bytes,
    name: Reference | None,
    wanted: Platform | None,
    progress: Progress,
) -> ImageConfig:
    """Config and layers of an image into the store; `wanted` None: for whatever platform it is."""
    what = f"{files.what}: {descriptor.digest}"
    manifest = Manifest.parse(document, what)
    check_kind(manifest, what)
    config_bytes = _document(files, manifest.config)
    config = ImageConfig.parse(config_bytes, f"{files.what}: {manifest.config.digest}")
    if wanted is not None:
        check_platform(config, wanted)
    check_layers(manifest, config, what)
    for layer in manifest.layers:
        if is_foreign(layer) and not files.has(blob_name(layer.digest)):
            raise missing_foreign(layer, what)
    label = name.familiar if name is not None else manifest.config.digest.short
    load_layers(store, files, Image(descriptor, manifest, config), label, progress)
    with store.layout.staging() as staging:
        store.layout.add_blob(staging, config_bytes, manifest.config.digest)
    return config


def load_layers(store: Store, files: ImageFiles, image: Image, label: str, progress: Progress) -> None:
    """The layers of an image in `files`. Preconditions: the caller is inside `layout.importing()`."""
    loader = LayerLoader(store.layout, progress, label, sum(layer.size for layer in image.manifest.layers))
    for layer, diff_id in zip(image.manifest.layers, image.diff_ids, strict=True):
        path = blob_name(layer.digest)
        link = files.real_path(path) if isinstance(files, LinkedFiles) else None
        source = LayerSource(f"{files.what}: {path}", files.iter_chunks(path), layer, diff_id, link=link)
        loader.load(source, layer.size)

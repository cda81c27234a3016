"""The images of an OCI image layout (image-layout.md), their names, and the choice among them."""

from __future__ import annotations

import hashlib

from rootlay.store.layout.indexdocuments import DEPTH_MAX
from rootlay.store.model.errors import BadManifest, BadReference, DigestMismatch, UnknownImage, UnsupportedMedia
from rootlay.store.model.manifest import (
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
from rootlay.store.model.platform import choose, is_attestation
from rootlay.store.model.progress import Note
from rootlay.store.model.reference import Reference
from rootlay.store.model.value import replace
from rootlay.store.tar.archive import ImageFiles, blob_name, read_document


def names_of(descriptor: Descriptor) -> set[str]:
    """Return all names of an image in a layout: the stated name, and its tag."""
    name = name_of(descriptor)
    return {descriptor.ref_name or "", *((name.familiar, name.tag or "") if name is not None else ())}


def known_only(files: ImageFiles, index: Index, note: Note) -> Index:
    """Return the index without the entries that cannot be images by their media type or annotations."""
    kept: list[Descriptor] = []
    left: list[str] = []
    for descriptor in index.manifests:
        kind = "attestation" if is_attestation(descriptor) else descriptor.media_type
        if kind in INDEXES | MANIFESTS:
            kept.append(descriptor)
        else:
            left.append(f"{files.what}: {descriptor.digest.short} is no image ({kind[:100] or 'no media type'})")
    if left and not kept:
        raise UnsupportedMedia(files.what, f"there is no image in it: {left[0].rpartition(': ')[2]}")
    for line in left:
        note(f"{line}: left out")
    return replace(index, manifests=tuple(kept))


def images_only(files: ImageFiles, chosen: list[Descriptor], note: Note) -> list[Descriptor]:
    """Return those of `chosen` whose manifest has the config of an image."""
    kinds = {descriptor.digest: _config_kind(files, descriptor) for descriptor in chosen}
    kept = [descriptor for descriptor in chosen if kinds[descriptor.digest] in CONFIGS]
    if not kept:
        return chosen  # loading reports the error
    for digest, kind in kinds.items():
        if kind not in CONFIGS:
            note(f"{files.what}: {digest.short} is no image ({kind[:100]}): left out")
    return kept


def _config_kind(files: ImageFiles, descriptor: Descriptor) -> str:
    """Return the media type of a manifest's config. An index is assumed to be one of images."""
    if descriptor.media_type in INDEXES:
        return OCI_CONFIG
    return Manifest.parse(document_of(files, descriptor), f"{files.what}: {descriptor.digest}").config.media_type


def pick_named(named: dict[str, Descriptor], text: str) -> Descriptor:
    """Return the descriptor of the image `text`. Raises UnknownImage, BadReference."""
    found = named.get(str(Reference.parse(text).with_default_tag()))
    if found is None:
        raise UnknownImage(text)
    return found


def choose_each(index: Index, wanted: Platform) -> list[Descriptor]:
    """Return one descriptor for each name; without a name each is an image, unless they differ by platform."""
    groups: dict[str, list[Descriptor]] = {}
    for descriptor in index.manifests:
        key = descriptor.annotations.get(CONTAINERD_NAME) or descriptor.ref_name or ""
        if not key and descriptor.platform is None:
            key = f"@{descriptor.digest}"
        groups.setdefault(key, []).append(descriptor)
    return [group[0] if len(group) == 1 else choose(group, wanted) for group in groups.values()]


def name_of(descriptor: Descriptor) -> Reference | None:
    """Return the name that the layout gives an image: containerd's annotation has the full name."""
    for text in (descriptor.annotations.get(CONTAINERD_NAME), descriptor.ref_name):
        if text:
            try:
                return Reference.parse(text).with_default_tag()
            except BadReference:
                continue
    return None


def document_of(files: ImageFiles, descriptor: Descriptor) -> bytes:
    """Return a manifest, index or config, verified."""
    data = read_document(files, blob_name(descriptor.digest))
    actual = hashlib.new(descriptor.digest.algorithm, data).hexdigest()
    if actual != descriptor.digest.hex:
        raise DigestMismatch(
            f"{files.what}: {blob_name(descriptor.digest)}",
            descriptor.digest,
            f"{descriptor.digest.algorithm}:{actual}",
        )
    descriptor.check_size(data, f"{files.what}: {blob_name(descriptor.digest)}")
    return data


def resolve(files: ImageFiles, descriptor: Descriptor, wanted: Platform) -> tuple[Descriptor, bytes]:
    """Return the descriptor and bytes of the image manifest for `wanted`, through nested indexes."""
    for _ in range(DEPTH_MAX):
        if descriptor.media_type not in INDEXES | MANIFESTS:
            raise UnsupportedMedia(f"{files.what}: {descriptor.digest}", f"not an image: {descriptor.media_type}")
        data = document_of(files, descriptor)
        if descriptor.media_type in MANIFESTS:
            return descriptor, data
        nested = Index.parse(data, f"{files.what}: {descriptor.digest}")
        if len(nested.manifests) == 1 and nested.manifests[0].platform is None:
            descriptor = nested.manifests[0]
        else:
            descriptor = choose(nested.manifests, wanted)
    raise BadManifest(f"{files.what}: index.json", f"indexes are nested more than {DEPTH_MAX} deep")

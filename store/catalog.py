"""Which images there are, and what they are called: reading and changing `index.json`.

Rules:
1. A name is the annotation `org.opencontainers.image.ref.name`, in familiar form (`debian:latest`; for what was pulled
   by digest `debian@sha256:…`, which may be the digest of an index); one descriptor for each name. An image that lost
   its last name to another one stays, with a descriptor without a name.
2. The functions that change an index are pure; `Layout.update_index` applies them.
"""

from __future__ import annotations

from rootlay.store.digest import Digest
from rootlay.store.errors import AmbiguousImage, BadReference, CorruptStore, StoreError, UnknownImage
from rootlay.store.image import Image, ImageRecord
from rootlay.store.imageconfig import ImageConfig
from rootlay.store.layout import Layout
from rootlay.store.manifest import MANIFESTS, REF_NAME, Descriptor, Index, Manifest
from rootlay.store.progress import Note
from rootlay.store.reference import Reference
from rootlay.store.value import replace

_HEX = frozenset("0123456789abcdef")


def same_name(stored: str | None, reference: Reference) -> bool:
    """Whether the name in an index means `reference`: the tag counts, and where there is none the digest."""
    found = _parsed(stored)
    if found is None:
        return False
    if reference.tag is None:
        return found == reference
    return (found.name, found.tag) == (reference.name, reference.tag)


def _parsed(stored: str | None) -> Reference | None:
    """A name in an index; None for what other tools may write there that is no reference."""
    if stored is None:
        return None
    try:
        return Reference.parse(stored)
    except BadReference:
        return None


def unnamed(descriptor: Descriptor) -> Descriptor:
    """The descriptor without the name that an index gave it."""
    return replace(descriptor, annotations={k: v for k, v in descriptor.annotations.items() if k != REF_NAME})


def with_name(index: Index, descriptor: Descriptor, reference: Reference | None) -> Index:
    """The index in which `reference` names the image of `descriptor`; None: it is there without a name."""
    plain = unnamed(descriptor)
    if reference is None:
        if any(d.digest == descriptor.digest for d in index.manifests):
            return index
        return replace(index, manifests=(*index.manifests, plain))
    name = reference if reference.tag is None else reference.with_default_tag()
    named = replace(plain, annotations={**plain.annotations, REF_NAME: name.familiar})
    kept: list[Descriptor] = []
    dropped: list[Descriptor] = []
    for found in index.manifests:
        nameless_twin = found.digest == descriptor.digest and found.ref_name is None
        if same_name(found.ref_name, name):
            dropped.append(found)
        elif not nameless_twin:
            kept.append(found)
    for old in dropped:
        if old.digest != descriptor.digest and not any(d.digest == old.digest for d in kept):
            kept.append(unnamed(old))
    return replace(index, manifests=(*kept, named))


def without_name(index: Index, reference: Reference) -> Index:
    """The index without that name; an image goes with its last one."""
    return replace(index, manifests=tuple(d for d in index.manifests if not same_name(d.ref_name, reference)))


def without_image(index: Index, digest: Digest) -> Index:
    """The index without any descriptor of that manifest."""
    return replace(index, manifests=tuple(d for d in index.manifests if d.digest != digest))


class Catalog:
    """Looks images up. Reads `index.json` once; make a new one to see later changes."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.index = layout.read_index()

    def _manifests(self) -> dict[Digest, Descriptor]:
        """One descriptor for each image manifest, in the index's order. Nested indexes are not ours and left alone."""
        return {d.digest: d for d in reversed(self.index.manifests) if not d.media_type or d.media_type in MANIFESTS}

    def read_manifest(self, descriptor: Descriptor) -> Manifest:
        """Raises CorruptStore, BadManifest."""
        return Manifest.parse(self._layout.read_blob(descriptor.digest), str(descriptor.digest))

    def read(self, descriptor: Descriptor) -> Image:
        """The image of a manifest's descriptor. Raises CorruptStore, BadManifest."""
        manifest = self.read_manifest(descriptor)
        config = ImageConfig.parse(self._layout.read_blob(manifest.config.digest), str(manifest.config.digest))
        names = sorted(d.ref_name for d in self.index.manifests if d.digest == descriptor.digest and d.ref_name)
        return Image(unnamed(descriptor), manifest, config, tuple(names))

    def images(self, note: Note | None = None) -> list[Image]:
        """All images, each once.

        Args:
            note: told of those that are damaged, which are left out; None: the first of them raises.

        Raises CorruptStore, BadManifest.
        """
        found = []
        for descriptor in reversed(self._manifests().values()):
            try:
                found.append(self.read(descriptor))
            except StoreError as error:
                if note is None:
                    raise
                names = (d.ref_name for d in self.index.manifests if d.digest == descriptor.digest)
                shown = ", ".join(name for name in names if name) or descriptor.digest.short
                note(f"{shown} is left out: {error} (`rootlay fsck` says more)")
        return found

    def records(self, note: Note | None = None) -> list[ImageRecord]:
        """One record for each name, and one for each image without a name; newest image first. See `images`."""
        found = [
            ImageRecord(name, image.id, image.manifest_digest, image.created, image.size)
            for image in self.images(note)
            for name in image.references or (None,)
        ]
        return sorted(found, key=lambda record: (record.created, record.reference or ""), reverse=True)

    def get(self, text: str) -> Image:
        """The image of a name, a name and digest, an ID or a prefix of an ID that fits one image only.

        Raises UnknownImage, AmbiguousImage, BadReference, CorruptStore.
        """
        descriptor = self.find_named(text) or self._find_by_id(text)
        if descriptor is None:
            raise UnknownImage(text)
        return self.read(descriptor)

    def find_named(self, text: str) -> Descriptor | None:
        """The descriptor of a name, or of a name with a digest."""
        try:
            reference = Reference.parse(text)
        except BadReference:
            if _id_prefix(text) is None:
                raise
            return None
        if reference.digest is None:
            return next((d for d in self.index.manifests if same_name(d.ref_name, reference)), None)
        for descriptor in self.index.manifests:
            stored = _parsed(descriptor.ref_name)
            if stored is None or stored.name != reference.name:
                continue
            if reference.tag is not None and not same_name(descriptor.ref_name, reference):
                continue
            known = (stored.digest, descriptor.digest, self.read_manifest(descriptor).config.digest)
            if reference.digest in known:
                return descriptor
        return None

    def _find_by_id(self, text: str) -> Descriptor | None:
        prefix = _id_prefix(text)
        if prefix is None:
            return None
        found: dict[Digest, Descriptor] = {}
        damage: StoreError | None = None
        for descriptor in self._manifests().values():
            if prefix == descriptor.digest.hex:
                return descriptor
            try:
                image_id = self.read_manifest(descriptor).config.digest
            except StoreError as error:  # another image's damage is not in the way
                damage = error
                continue
            if image_id.hex.startswith(prefix):
                found[image_id] = descriptor
        if len(found) > 1:
            raise AmbiguousImage(text, map(str, found))
        if not found and damage is not None:
            raise damage
        return next(iter(found.values()), None)


def _id_prefix(text: str) -> str | None:
    """The hex digits of an image ID or of its beginning."""
    digits = text.removeprefix("sha256:")
    return digits if digits and len(digits) <= 64 and _HEX.issuperset(digits) else None


def check_present(layout: Layout, manifest: Manifest) -> None:
    """Raise CorruptStore unless all blobs of an image are here, or are layers that were pulled lazily."""
    for descriptor in (manifest.config, *manifest.layers):
        if not layout.has_blob(descriptor.digest):
            from rootlay.store.lazy.identity import find_lazy

            if find_lazy(layout, descriptor) is None:
                raise CorruptStore(str(descriptor.digest), "the blob is missing")

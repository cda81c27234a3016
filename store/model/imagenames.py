"""The names of images in `index.json`.

Rules:
1. A name is the annotation `org.opencontainers.image.ref.name`, in familiar form (`debian:latest`; `debian@sha256:…`
   for an image that was pulled by digest, which may be the digest of an index); one descriptor for each name. An image
   that lost its last name to another one stays, with a descriptor without a name.
2. The functions that change an index are pure; `Layout.update_index` applies them.
"""

from __future__ import annotations

from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import BadReference
from rootlay.store.model.manifest import REF_NAME, Descriptor, Index
from rootlay.store.model.reference import Reference
from rootlay.store.model.value import replace


def same_name(stored: str | None, reference: Reference) -> bool:
    """Return whether the name in an index means `reference`: the tag counts, and without one the digest."""
    found = parsed(stored)
    if found is None:
        return False
    if reference.tag is None:
        return found == reference
    return (found.name, found.tag) == (reference.name, reference.tag)


def parsed(stored: str | None) -> Reference | None:
    """Parse a name in an index; return None for text of other tools that is not a reference."""
    if stored is None:
        return None
    try:
        return Reference.parse(stored)
    except BadReference:
        return None


def unnamed(descriptor: Descriptor) -> Descriptor:
    """Return the descriptor without the name that an index gave it."""
    return replace(descriptor, annotations={k: v for k, v in descriptor.annotations.items() if k != REF_NAME})


def with_name(index: Index, descriptor: Descriptor, reference: Reference | None) -> Index:
    """Return the index in which `reference` names the image of `descriptor`; None: the image has no name."""
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
    """Return the index without that name; an image is removed with its last name."""
    return replace(index, manifests=tuple(d for d in index.manifests if not same_name(d.ref_name, reference)))


def without_image(index: Index, digest: Digest) -> Index:
    """Return the index without any descriptor of that manifest."""
    return replace(index, manifests=tuple(d for d in index.manifests if d.digest != digest))

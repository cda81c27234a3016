"""The names of images in `index.json`.

Rules:
1. A name is the annotation `org.opencontainers.image.ref.name`, in familiar form (`debian:latest`; `debian@sha256:…`
   for an image that was pulled by digest, which may be the digest of an index); one descriptor for each name. An image
   that lost its last name to another one stays, with a descriptor without a name.
2. Looking up a name and changing one take the same time for 10 images as for 10,000: a command that changes many
   reads the index once and writes it once (`Layout.update_names`).
"""

from __future__ import annotations

from collections.abc import Iterable

from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import BadReference
from rootlay.store.model.manifest import REF_NAME, Descriptor, Index
from rootlay.store.model.reference import Reference
from rootlay.store.model.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    K = TypeVar("K")


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


def _key(reference: Reference) -> str:
    """Return the part that makes two names equal: the tag counts, and without one the digest."""
    if reference.tag is None:
        return f"{reference.name}@{reference.digest}"
    return f"{reference.name}:{reference.tag}"


class NameTable:
    """The descriptors of an index, found by name and by digest. Changes keep the order; new ones are last."""

    def __init__(self, index: Index) -> None:
        self._extra = index.extra
        self._index: Index | None = index
        self._rows = dict(enumerate(index.manifests))
        self._last = len(self._rows)
        self._by_name: dict[str, dict[int, None]] | None = None
        self._by_digest: dict[Digest, dict[int, None]] | None = None

    @property
    def index(self) -> Index:
        """The index as it is now."""
        if self._index is None:
            self._index = Index(tuple(self._rows.values()), self._extra)
        return self._index

    def find(self, reference: Reference) -> Descriptor | None:
        """Return the descriptor of a name: of its tag, or without one of its digest."""
        return next((self._rows[row] for row in self._names().get(_key(reference), ())), None)

    def of_image(self, digest: Digest) -> list[Descriptor]:
        """Return the descriptors of a manifest or index: one for each name, or one without a name."""
        return [self._rows[row] for row in self._digests().get(digest, ())]

    def names_of(self, digest: Digest) -> tuple[str, ...]:
        """Return the names of an image, sorted."""
        return tuple(sorted(found.ref_name for found in self.of_image(digest) if found.ref_name))

    def add(self, descriptor: Descriptor, reference: Reference | None) -> None:
        """Let `reference` name the image of `descriptor`; None: the image has no name, if it does not have one yet."""
        plain = unnamed(descriptor)
        if reference is None:
            if not self.of_image(descriptor.digest):
                self._append(plain)
            return
        name = reference if reference.tag is None else reference.with_default_tag()
        lost = self._drop(self._names().get(_key(name), ()))
        digests = self._digests()
        self._drop(row for row in digests.get(descriptor.digest, ()) if self._rows[row].ref_name is None)
        for old in lost:
            if old.digest != descriptor.digest and not digests.get(old.digest):
                self._append(unnamed(old))
        self._append(replace(plain, annotations={**plain.annotations, REF_NAME: name.familiar}))

    def remove_name(self, reference: Reference) -> None:
        """Remove a name; an image is removed with its last name."""
        self._drop(self._names().get(_key(reference), ()))

    def remove_images(self, digests: Iterable[Digest]) -> None:
        """Remove all descriptors of these manifests or indexes."""
        for digest in digests:
            self._drop(self._digests().get(digest, ()))

    def _append(self, descriptor: Descriptor) -> None:
        self._index = None
        self._last += 1
        self._rows[self._last] = descriptor
        self._digests().setdefault(descriptor.digest, {})[self._last] = None
        name = parsed(descriptor.ref_name)
        if name is not None:
            self._names().setdefault(_key(name), {})[self._last] = None

    def _drop(self, rows: Iterable[int]) -> list[Descriptor]:
        """Remove rows; return their descriptors."""
        found = []
        names, digests = self._names(), self._digests()
        for row in tuple(rows):
            self._index = None
            descriptor = self._rows.pop(row)
            del digests[descriptor.digest][row]
            name = parsed(descriptor.ref_name)
            if name is not None:
                del names[_key(name)][row]
            found.append(descriptor)
        return found

    def _names(self) -> dict[str, dict[int, None]]:
        if self._by_name is None:
            names = ((row, parsed(found.ref_name)) for row, found in self._rows.items())
            self._by_name = _grouped((_key(name), row) for row, name in names if name is not None)
        return self._by_name

    def _digests(self) -> dict[Digest, dict[int, None]]:
        if self._by_digest is None:
            self._by_digest = _grouped((found.digest, row) for row, found in self._rows.items())
        return self._by_digest


def _grouped(pairs: Iterable[tuple[K, int]]) -> dict[K, dict[int, None]]:
    found: dict[K, dict[int, None]] = {}
    for key, row in pairs:
        found.setdefault(key, {})[row] = None
    return found

"""A check that all parts of an image are here."""

from __future__ import annotations

from collections.abc import Iterable

from rootlay.store.layout.layout import Layout
from rootlay.store.model.errors import CorruptStore
from rootlay.store.model.manifest import Descriptor, Manifest


def check_present(layout: Layout, manifest: Manifest) -> None:
    """Raise CorruptStore unless all blobs of an image are here, or are layers that were pulled lazily."""
    check_blobs(layout, (manifest.config, *manifest.layers))


def check_blobs(layout: Layout, blobs: Iterable[Descriptor]) -> None:
    """Raise CorruptStore unless all of them are here, or are layers that were pulled lazily."""
    for descriptor in blobs:
        if not layout.has_blob(descriptor.digest):
            from rootlay.store.layout.identity import find_lazy

            if find_lazy(layout, descriptor) is None:
                raise CorruptStore(str(descriptor.digest), "the blob is missing")

"""Checks of blobs against their names, and of the images that name them (OCI image layout; docs/format.md, *truth*)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from rootlay.store.check.finding import Finding, Quarantine, Status, words_of
from rootlay.store.check.scope import Scope
from rootlay.store.disk.regularfile import NotARegularFile, iter_regular
from rootlay.store.layout.catalog import Catalog
from rootlay.store.layout.identity import find_lazy
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import BadManifest, RootlayError
from rootlay.store.model.manifest import INDEXES, MANIFESTS, Descriptor, Index
from rootlay.store.model.mediasupport import is_foreign

# Documents are read whenever an image is used, so they are always verified in full.
_DOCUMENT_BYTES = 64 << 10


def check_blobs(scope: Scope) -> Iterator[Finding]:
    """Check that each blob has the content that its name promises (large ones: only `deep`)."""
    paths = [path for directory in sorted(scope.layout.blobs.iterdir()) for path in sorted(directory.iterdir())]
    for path in scope.counted("blobs", paths):
        finding = _check_blob(scope, path)
        if finding is not None:
            yield finding


def _check_blob(scope: Scope, path: Path) -> Finding | None:
    try:
        digest = Digest(path.parent.name, path.name)
    except BadManifest:
        text = "its name is not a digest"
        return Finding("unknown-file", scope.place(path), text, lambda q: q.take("unknown-file", path, text))
    try:
        if not scope.deep and path.stat().st_size > _DOCUMENT_BYTES:
            return None
        found = _digest_of(path, digest.algorithm)
    except (OSError, NotARegularFile) as error:
        reason = error.strerror if isinstance(error, OSError) else f"{error.kind}, and no file"
        if path.is_symlink():
            text = f"a link to {os.readlink(path)}: {reason}; attach that disk, or load the image again"
            return Finding("blob-link", scope.place(path), text)
        return _damaged(scope, path, f"cannot be read: {reason}")
    return None if found == digest.hex else _damaged(scope, path, f"its digest is {digest.algorithm}:{found}")


def _digest_of(path: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm)
    for chunk in iter_regular(path, follow=True):
        digest.update(chunk)
    return digest.hexdigest()


def _damaged(scope: Scope, path: Path, text: str) -> Finding:
    return Finding("blob-damaged", scope.place(path), text, lambda q: q.take("blob-damaged", path, text))


def check_images(scope: Scope) -> Iterator[Finding]:
    """Check that each descriptor of `index.json` leads to a complete image."""
    try:
        catalog = Catalog(scope.layout)
    except RootlayError:
        return  # already reported
    for descriptor in {found.digest: found for found in catalog.index.manifests}.values():
        name = descriptor.ref_name or descriptor.digest.short
        if descriptor.media_type in INDEXES:
            yield from _check_index(scope, catalog, descriptor, name)
            continue
        if descriptor.media_type and descriptor.media_type not in MANIFESTS:
            if not scope.layout.has_blob(descriptor.digest):
                yield _broken(scope, descriptor, name, f"{descriptor.digest} is missing")
            continue
        try:
            image = catalog.read(descriptor)
        except RootlayError as error:
            yield _broken(scope, descriptor, name, words_of(error))
            continue
        for layer in image.manifest.layers:
            yield from _check_layer_blob(scope, name, layer)


def _check_index(scope: Scope, catalog: Catalog, entry: Descriptor, name: str) -> Iterator[Finding]:
    """Check that every manifest and blob of a multi-platform image is here. A missing one is no reason to remove the
    others, unless no image is left."""
    try:
        documents = catalog.documents(entry)
        images = catalog.members(entry)
    except RootlayError as error:
        yield _broken(scope, entry, name, words_of(error))
        return
    listed = {
        child.digest: child
        for found in documents
        if found.manifest is None
        for child in Index.parse(found.data, name).manifests
    }
    missing = [child for digest, child in listed.items() if not scope.layout.has_blob(digest)]
    for child in missing if images else ():
        text = f"{child.platform or 'manifest'} {child.digest} is missing: pull or load the image again"
        yield Finding("image-incomplete", name, text)
    for found in documents:
        if found.manifest is None:
            continue
        if not scope.layout.has_blob(found.manifest.config.digest):
            text = f"config {found.manifest.config.digest} is missing: pull or load the image again"
            yield Finding("image-incomplete", name, text)
        if found.is_image and scope.layout.has_blob(found.manifest.config.digest):
            try:
                image = catalog.read(entry, found.descriptor)
            except RootlayError as error:
                yield Finding("image-incomplete", name, words_of(error))
                continue
            for layer in image.manifest.layers:
                yield from _check_layer_blob(scope, name, layer)
        else:
            for layer in found.manifest.layers:
                if not is_foreign(layer):
                    yield from _check_layer_blob(scope, name, layer)


def _check_layer_blob(scope: Scope, name: str, layer: Descriptor) -> Iterator[Finding]:
    path = scope.layout.blob_path(layer.digest)
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        if path.is_symlink() or find_lazy(scope.layout, layer) is not None:
            return  # already reported; or pulled lazily
        text = f"layer {layer.digest} is missing: pull or load the image again"
        yield Finding("image-incomplete", name, text)
        return
    if size != layer.size:
        yield _damaged(scope, path, f"{size} bytes instead of {layer.size}")
        yield Finding("image-incomplete", name, f"layer {layer.digest} is damaged: pull or load the image again")


def _broken(scope: Scope, descriptor: Descriptor, name: str, text: str) -> Finding:
    """Report an image that is unusable and would break every listing."""

    def fix(quarantine: Quarantine) -> Status:
        quarantine.copy("image-broken", scope.layout.root / "index.json", f"it had {name}: {text}")
        scope.layout.update_names(lambda names: names.remove_images((descriptor.digest,)))
        return "quarantined"

    return Finding("image-broken", name, text, fix)

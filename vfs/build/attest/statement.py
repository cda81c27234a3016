"""In-toto statements about the images of one build, and the index that carries them, as BuildKit stores them.

Each image of the index has an attestation manifest: a manifest for the platform unknown/unknown that names the image in
its descriptor's annotations, whose layers are the statements.

Source: BuildKit's documentation, "Attestation storage".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from rootlay.store.images.recording import add_index
from rootlay.store.layout.indexdocuments import IndexDocument
from rootlay.store.layout.layout import Layout
from rootlay.store.model.image import Image
from rootlay.store.model.jsonfield import dump
from rootlay.store.model.manifest import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Descriptor, Index, Manifest, Platform
from rootlay.store.model.reference import Reference
from rootlay.store.model.value import replace, value
from rootlay.store.store import ImageStore
from rootlay.vfs.build.attest.provenance import image_url

IN_TOTO = "application/vnd.in-toto+json"
PREDICATE_TYPE = "in-toto.io/predicate-type"
_STATEMENT = "https://in-toto.io/Statement/v0.1"
_UNKNOWN = Platform("unknown", "unknown")


@value
class Statement:
    """A claim about an image: the type of the predicate, a URI, and the predicate."""

    predicate_type: str
    predicate: dict[str, Any]


@value
class Attested:
    """An image of a build and the statements about it."""

    image: Image
    statements: tuple[Statement, ...] = ()


def record_index(store: ImageStore, results: Sequence[Attested], names: Sequence[str]) -> Image:
    """Record an index of the images and their attestations, under `names`. Durable; `index.json` changes last.

    The images' own entries without a name are removed: the index keeps them.

    Raises BadReference, StoreNotWritable, DiskFull.
    """
    with ExitStack() as stack:
        if store.layout.current is None:
            stack.enter_context(store.layout.leasing())
        stack.enter_context(store.layout.collecting())
        documents = list(_documents(store.layout, results, names))
        image = add_index(store, documents, Reference.parse(names[0]) if names else None)
        own = [found.image.descriptor.digest for found in results if not found.image.references]
        store.layout.update_names(lambda table: table.remove_images(own))
        for name in names[1:]:
            image = store.tag(image, name)
    return image


def _documents(layout: Layout, results: Sequence[Attested], names: Sequence[str]) -> Iterator[IndexDocument]:
    """Yield the documents of the index, children first, after their blobs are stored."""
    listed: list[Descriptor] = []
    attestations: list[Descriptor] = []
    for found in results:
        image = found.image
        platform = image.config.platform
        descriptor = replace(image.descriptor, media_type=image.manifest.media_type, platform=platform, annotations={})
        listed.append(descriptor)
        yield IndexDocument(descriptor, layout.read_blob(descriptor.digest), image.manifest)
        if found.statements:
            attestation = _attestation(layout, found, names)
            attestations.append(attestation.descriptor)
            yield attestation
    data = Index((*listed, *attestations)).to_bytes()
    digest = layout.add_blob(data)
    yield IndexDocument(Descriptor(OCI_INDEX, digest, len(data)), data, None)


def _attestation(layout: Layout, found: Attested, names: Sequence[str]) -> IndexDocument:
    """Store the statements about an image; return their manifest."""
    image = found.image
    layers = []
    for statement in found.statements:
        data = dump(
            {
                "_type": _STATEMENT,
                "predicateType": statement.predicate_type,
                "subject": [
                    {
                        "name": image_url(name, image.config.platform),
                        "digest": {image.descriptor.digest.algorithm: image.descriptor.digest.hex},
                    }
                    for name in names
                ],
                "predicate": statement.predicate,
            }
        )
        digest = layout.add_blob(data)
        layers.append(Descriptor(IN_TOTO, digest, len(data), {PREDICATE_TYPE: statement.predicate_type}))
    diff_ids = [str(layer.digest) for layer in layers]
    config = dump(
        {
            "architecture": "unknown",
            "os": "unknown",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
    )
    described = Descriptor(OCI_CONFIG, layout.add_blob(config), len(config))
    manifest = Manifest(OCI_MANIFEST, described, tuple(layers))
    data = manifest.to_bytes()
    notes = {
        "vnd.docker.reference.digest": str(image.descriptor.digest),
        "vnd.docker.reference.type": "attestation-manifest",
    }
    return IndexDocument(Descriptor(OCI_MANIFEST, layout.add_blob(data), len(data), notes, _UNKNOWN), data, manifest)

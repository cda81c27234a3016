"""`push`: an image of the store into a registry, bit for bit. What is there already is not sent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from rootlay.store.catalog import Catalog, check_present
from rootlay.store.digest import Digest
from rootlay.store.errors import BadReference
from rootlay.store.image import Image
from rootlay.store.layercheck import is_foreign
from rootlay.store.lazy.identity import check_whole
from rootlay.store.manifest import Descriptor
from rootlay.store.progress import Progress, silent, unheard
from rootlay.store.recompress import Blobs, recompress
from rootlay.store.reference import Reference
from rootlay.store.registry.repository import Document, Repository
from rootlay.store.registry.session import Session
from rootlay.store.registry.settings import Settings
from rootlay.store.registry.upload import Upload
from rootlay.store.registry.work import SharedProgress, run_all

if TYPE_CHECKING:
    from rootlay.store.store import Store


@dataclass(frozen=True, slots=True)
class Pushed:
    """The manifest's digest, and what it cost. Sizes in bytes."""

    digest: Digest
    sent_blobs: int
    sent_bytes: int


def push(
    store: Store,
    image_name: str,
    settings: Settings,
    *,
    target: str | None = None,
    compression: str | None = None,
    progress: Progress = silent,
) -> Pushed:
    """Send an image. Idempotent; a tag appears there when all blobs have.

    Args:
        image_name: a name or ID in the store.
        target: the name there, `[HOST/]NAME[:TAG]`; None: `image_name`.
        compression: of the layers there (see `recompress`); None: bit for bit as they are here.

    Raises:
        RegistryUnreachable, AccessDenied, NotInRegistry, RegistryRefused, BadRegistryAnswer, CredentialStoreFailed.
        UnknownImage, AmbiguousImage, BadReference, CorruptStore.
    """
    name = Reference.parse(target or image_name)
    if name.digest is not None:
        raise BadReference(name.familiar, "an image is pushed to a tag, not to a digest")
    with store.layout.holding(), ExitStack() as stack:
        image = store.image(image_name)
        check_whole(store.layout, image)
        check_present(store.layout, image.manifest)
        blobs = Blobs(store.layout, {})
        if compression is not None:
            directory = stack.enter_context(store.staging())
            image, blobs = recompress(store, image, compression, directory, progress)
        neighbours = _neighbours(store, image, name)
        paths = tuple(dict.fromkeys(path for found in neighbours.values() for path in found[:1]))
        with Session(settings, name.domain) as session:
            repository = Repository(session, name, push=True, sources=paths)
            return _send(blobs, image, name, repository, neighbours, progress)


def _neighbours(store: Store, image: Image, name: Reference) -> dict[Digest, tuple[str, ...]]:
    """For each blob the other repositories of the same registry that may have it, by the names in the store."""
    found: dict[Digest, tuple[str, ...]] = {}
    wanted = {blob.digest for blob in (image.manifest.config, *image.manifest.layers)}
    for other in Catalog(store.layout).images(note=unheard):  # one that is damaged has nothing to offer
        names = (Reference.parse(text) for text in other.references)
        paths = tuple(n.path for n in names if n.domain == name.domain and n.path != name.path)
        for blob in (other.manifest.config, *other.manifest.layers) if paths else ():
            if blob.digest in wanted:
                found[blob.digest] = (*found.get(blob.digest, ()), *paths)
    return found


def _send(
    found: Blobs,
    image: Image,
    name: Reference,
    repository: Repository,
    neighbours: dict[Digest, tuple[str, ...]],
    progress: Progress,
) -> Pushed:
    own = (layer for layer in image.manifest.layers if not is_foreign(layer))
    blobs = {blob.digest: blob for blob in (*own, image.manifest.config)}
    shared = SharedProgress(progress, sum(blob.size for blob in blobs.values()), name.familiar)
    lock = threading.Lock()
    sent: list[Descriptor] = []

    def job(number: int, blob: Descriptor) -> None:
        upload = Upload(repository, blob, found.path(blob.digest), partial(shared.report, number))
        if upload.run(neighbours.get(blob.digest, ())):
            with lock:
                sent.append(blob)

    jobs: list[Callable[[], None]] = [partial(job, number, blob) for number, blob in enumerate(blobs.values())]
    session = repository.session
    run_all(jobs, session.settings.parallel, session.stop)
    document = Document(
        Descriptor(image.manifest.media_type, image.manifest_digest, image.descriptor.size),
        found.path(image.manifest_digest).read_bytes(),
    )
    repository.put_manifest(str(name.tag), document, name.familiar)
    return Pushed(image.manifest_digest, len(sent), sum(blob.size for blob in sent))

"""`push`: an image of the store to a registry, bit for bit. Blobs that the registry has are not sent.

A multi-platform image is sent as a whole: the blobs of all that its index lists, the manifests by their digests, and
the index, which gets the tag.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from rootlay.store.images.recompress import Blobs, recompress
from rootlay.store.layout.blobcheck import check_present
from rootlay.store.layout.catalog import Catalog
from rootlay.store.layout.identity import check_whole
from rootlay.store.layout.indexdocuments import IndexDocument, whole_index
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import BadReference
from rootlay.store.model.image import Image
from rootlay.store.model.manifest import Descriptor, Platform
from rootlay.store.model.mediasupport import is_foreign
from rootlay.store.model.progress import Progress, silent, unheard
from rootlay.store.model.reference import Reference
from rootlay.store.model.value import replace, value
from rootlay.store.registry.repository import Document, Repository
from rootlay.store.registry.session import Session
from rootlay.store.registry.settings import Settings
from rootlay.store.registry.upload import Upload
from rootlay.store.registry.work import SharedProgress, run_all

if TYPE_CHECKING:
    from rootlay.store.images.images import Images


@value
class Pushed:
    """The digest of the tag in the registry (a manifest's, or an index's), and the sent amounts. Sizes in bytes."""

    digest: Digest
    sent_blobs: int
    sent_bytes: int


def push(
    store: Images,
    image_name: str,
    settings: Settings,
    *,
    target: str | None = None,
    compression: str | None = None,
    manifest_format: str | None = None,
    platform: Platform | None = None,
    progress: Progress = silent,
) -> Pushed:
    """Send an image. Idempotent; a tag appears in the registry after all blobs.

    Args:
        image_name: a name or ID in the store.
        target: the name in the registry, `[HOST/]NAME[:TAG]`; None: `image_name`.
        compression: of the layers in the registry (see `recompress`); None: unchanged, bit for bit.
        manifest_format: `oci` or `docker`, the older form, in which podman finds a HEALTHCHECK; layers are gzip then.
            None: unchanged.
        platform: which one of a multi-platform image. None: the whole image, its index and all that it lists; with
            `compression` or `manifest_format` this machine's.

    Raises:
        RegistryUnreachable, AccessDenied, NotInRegistry, RegistryRefused, BadRegistryAnswer, CredentialStoreFailed.
        UnknownImage, AmbiguousImage, BadReference, CorruptStore, WrongPlatform, NotFetched.
    """
    name = Reference.parse(target or image_name)
    if name.digest is not None:
        raise BadReference(name.familiar, "push to a tag, not to a digest")
    with store.layout.holding(), ExitStack() as stack:
        image = store.image(image_name, platform)
        check_whole(store.layout, image)
        check_present(store.layout, image.manifest)
        blobs = Blobs(store.layout, {})
        if compression is not None or manifest_format is not None:
            directory = stack.enter_context(store.staging())
            form = manifest_format or "oci"
            image, blobs = recompress(store, image, compression or "gzip", directory, progress, form)
        members = _members(store, image, blobs)
        neighbours = _neighbours(store, members, name)
        paths = tuple(dict.fromkeys(path for found in neighbours.values() for path in found[:1]))
        with Session(settings, name.domain) as session:
            repository = Repository(session, name, push=True, sources=paths)
            pushed = _send(blobs, members, name, repository, neighbours, progress)
    store.note("push", name.familiar, name.familiar)
    return pushed


def _members(store: Images, image: Image, found: Blobs) -> list[IndexDocument]:
    """Return the documents to send, children first: those of a multi-platform image, or the manifest alone."""
    if image.index is not None:
        return whole_index(store.layout, image.index)
    descriptor = replace(image.descriptor, media_type=image.manifest.media_type)
    return [IndexDocument(descriptor, found.path(image.manifest_digest).read_bytes(), image.manifest)]


def _neighbours(store: Images, members: list[IndexDocument], name: Reference) -> dict[Digest, tuple[str, ...]]:
    """Return, for each blob, other repositories of the registry that may have it, by the names in the store."""
    found: dict[Digest, tuple[str, ...]] = {}
    wanted = {blob.digest for member in members for blob in member.blobs}
    for other in Catalog(store.layout).images(note=unheard):  # a damaged one cannot supply blobs
        names = (Reference.parse(text) for text in other.references)
        paths = tuple(n.path for n in names if n.domain == name.domain and n.path != name.path)
        for blob in (other.manifest.config, *other.manifest.layers) if paths else ():
            if blob.digest in wanted:
                found[blob.digest] = (*found.get(blob.digest, ()), *paths)
    return found


def _send(
    found: Blobs,
    members: list[IndexDocument],
    name: Reference,
    repository: Repository,
    neighbours: dict[Digest, tuple[str, ...]],
    progress: Progress,
) -> Pushed:
    """Send all blobs in parallel, then the documents one after the other: the tag's is last."""
    blobs = {blob.digest: blob for member in members for blob in member.blobs if not is_foreign(blob)}
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
    *children, top = (Document(member.descriptor, member.data) for member in members)
    for child in children:
        repository.put_manifest(str(child.descriptor.digest), child, f"{name.familiar}@{child.descriptor.digest}")
    repository.put_manifest(str(name.tag), top, name.familiar)
    return Pushed(top.descriptor.digest, len(sent), sum(blob.size for blob in sent))

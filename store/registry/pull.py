"""`pull`: an image from a registry into the store. Only missing parts are fetched.

Rules:
1. Layers go through the import of `load` (`ingest`): verified while they stream, published when complete.
2. Bad content leaves nothing behind. After an interruption (a network error, a refusal, Ctrl-C, a kill) the complete
   layers stay, and the fetched parts of the others, so that the next pull resumes; `prune` removes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rootlay.store.images.recording import add_index, add_manifest
from rootlay.store.layer.load import store_blob
from rootlay.store.layout.catalog import Catalog
from rootlay.store.layout.importing import importing
from rootlay.store.layout.indexdocuments import DEPTH_MAX, iter_index_documents
from rootlay.store.layout.layout import Layout
from rootlay.store.layout.partialblob import KEPT_S, remove_partials
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import BadManifest, CorruptStore, UnknownImage, UnsupportedMedia
from rootlay.store.model.image import Image
from rootlay.store.model.imageconfig import ImageConfig, check_platform
from rootlay.store.model.manifest import INDEXES, Descriptor, Index, Manifest, Platform
from rootlay.store.model.mediasupport import check_kind, is_foreign, missing_foreign
from rootlay.store.model.platform import choose, host_platform, is_attestation
from rootlay.store.model.progress import Note, Progress, silent, unheard
from rootlay.store.model.reference import Reference
from rootlay.store.model.value import replace, value
from rootlay.store.registry.errors import NotInRegistry
from rootlay.store.registry.layerfetch import LayerFetcher, worth_keeping
from rootlay.store.registry.repository import Document, Repository
from rootlay.store.registry.session import Session
from rootlay.store.registry.settings import Settings

if TYPE_CHECKING:
    from rootlay.store.images.images import Images


@value
class Pulled:
    """The image, and the amounts that were fetched. Sizes in bytes."""

    image: Image
    digest: Digest  # the target of the tag: the index, if there is one
    fetched_layers: int
    fetched_bytes: int
    lazy_layers: int = 0  # how many of the image's layers are here only as tables of contents


def pull(
    store: Images,
    reference: str,
    settings: Settings,
    *,
    platform: Platform | None = None,
    progress: Progress = silent,
    lazy: bool = False,
    note: Note = unheard,
    all_platforms: bool = False,
) -> Pulled:
    """Fetch an image and give it its name. Durable; the name changes last.

    Args:
        reference: `[HOST/]NAME[:TAG][@DIGEST]`; the default tag is `latest`.
        platform: which one of a multi-platform image to take. None: this machine's.
        lazy: fetch only the table of contents of layers that have one (eStargz, zstd:chunked); their content is fetched
            at its use. Other layers are fetched whole, with a note.
        all_platforms: fetch the index of a multi-platform image and all that it lists, including attestations.

    Raises:
        RegistryUnreachable, AccessDenied, NotInRegistry, RegistryRefused, BadRegistryAnswer, CredentialStoreFailed.
        BadReference, WrongPlatform, BadManifest, DigestMismatch, UnsupportedMedia, UnsafePath, TooLarge,
        NotAnArchive, TruncatedArchive, StoreNotWritable, DiskFull.
    """
    name = Reference.parse(reference)
    wanted = platform or host_platform()
    remove_partials(store.layout, KEPT_S)
    with Session(settings, name.domain) as session, importing(store.layout, keep=worth_keeping):
        work = _Pull(store, Repository(session, name), name, wanted, progress, note if lazy else None)
        pulled = work.run_all_platforms() if all_platforms else work.run()
    store.note("pull", name.familiar, name.familiar)
    return pulled


def resolve(repository: Repository, name: Reference, wanted: Platform | None) -> tuple[Document, Document]:
    """Return the document of a reference, and the manifest in it for a platform (None: no choice, both are equal)."""
    target = str(name.digest) if name.digest is not None else str(name.tag)
    top = found = repository.get_manifest(target, name.familiar)
    for _ in range(DEPTH_MAX):
        if wanted is None or not found.is_index:
            return top, found
        descriptor = choose(Index.parse(found.data, name.familiar).manifests, wanted)
        found = repository.get_listed(descriptor)
    raise BadManifest(name.familiar, f"indexes are nested more than {DEPTH_MAX} deep")


def _is_one_image(index: Index) -> bool:
    """Return whether an index lists one image and attestations about it."""
    kinds = [is_attestation(found) for found in index.manifests]
    return kinds.count(False) == 1 and True in kinds


class _Pull:
    """One pull."""

    def __init__(
        self,
        store: Images,
        repository: Repository,
        name: Reference,
        wanted: Platform,
        progress: Progress,
        lazily: Note | None,
    ) -> None:
        """Prepare a pull. `lazily`: see LayerFetcher."""
        self._store = store
        self._layout: Layout = store.layout
        self._repository = repository
        self._name = name
        self._wanted = wanted
        self._layers = LayerFetcher(store.layout, repository, name, progress, lazily)

    def run(self) -> Pulled:
        """Pull as `pull`."""
        current = self._find_current()
        if current is not None:
            return Pulled(current, current.entry.digest, 0, 0, self._count_lazy(current.manifest))
        top, document = resolve(self._repository, self._name, self._wanted)
        if top.is_index and _is_one_image(Index.parse(top.data, self._name.familiar)):
            return self.run_all_platforms()  # which keeps its attestations
        manifest = Manifest.parse(document.data, self._name.familiar)
        config_bytes = self._config_bytes(manifest)
        config = ImageConfig.parse(config_bytes, f"{self._name.familiar}: config")
        if not top.is_index:
            check_platform(config, self._wanted)
        self._bring(manifest, config, config_bytes)
        image = add_manifest(self._store, document.data, self._name, config.platform)
        lazy = self._count_lazy(manifest)
        return Pulled(image, top.descriptor.digest, self._layers.layers, self._layers.bytes, lazy)

    def run_all_platforms(self) -> Pulled:
        """Pull as `pull`. A document that is not an index is pulled unchanged, for any platform."""
        name = self._name.familiar
        top, _ = resolve(self._repository, self._name, None)

        def read(descriptor: Descriptor) -> bytes:
            if descriptor.digest == top.descriptor.digest:
                return top.data
            if self._layout.has_blob(descriptor.digest):
                data = self._layout.read_blob(descriptor.digest)
                descriptor.check_size(data, f"{name}@{descriptor.digest}")
                return data
            return self._repository.get_listed(descriptor).data

        members = list(iter_index_documents(read, top.descriptor, name))
        if not any(member.is_image for member in members):
            raise UnsupportedMedia(name, "there is no image for Linux in it")
        platform: Platform | None = None
        for member in members:
            if member.manifest is not None and member.is_image:
                config_bytes = self._config_bytes(member.manifest)
                config = ImageConfig.parse(config_bytes, f"{name}: config")
                self._bring(member.manifest, config, config_bytes)
                platform = config.platform
            else:
                for blob in member.blobs:
                    self._fetch_blob(blob)
        if top.is_index:
            image = add_index(self._store, members, self._name)
        else:
            image = add_manifest(self._store, top.data, self._name, platform)
        lazy = self._count_lazy(image.manifest)
        return Pulled(image, top.descriptor.digest, self._layers.layers, self._layers.bytes, lazy)

    def _bring(self, manifest: Manifest, config: ImageConfig, config_bytes: bytes) -> None:
        """Fetch layers and config into the store."""
        self._layers.fetch(manifest, config)
        self._layout.add_blob(config_bytes, manifest.config.digest)

    def _fetch_blob(self, blob: Descriptor) -> None:
        """Fetch a blob that is kept unchanged."""
        if self._layout.has_blob(blob.digest):
            return
        what = f"{self._name.familiar}: {blob.digest.short}"
        try:
            store_blob(self._layout, self._repository.iter_blob(blob, what), blob, what)
        except NotInRegistry as error:
            if is_foreign(blob):
                raise missing_foreign(blob, self._name.familiar) from error
            raise
        self._layers.bytes += blob.size

    def _count_lazy(self, manifest: Manifest) -> int:
        return sum(not self._layout.has_blob(layer.digest) for layer in manifest.layers)

    def _find_current(self) -> Image | None:
        """Return the image, if the store has it and the registry's tag still points to it. Registries that count pulls
        do not count a HEAD request. If the store keeps only a manifest of an index, the index is fetched."""
        catalog = Catalog(self._layout)
        descriptor = catalog.find_named(str(self._name))
        if descriptor is None or self._name.tag is None or self._name.digest is not None:
            return None
        if self._repository.find_digest(self._name.tag, self._name.familiar) != descriptor.digest:
            return None
        try:
            image = catalog.get(str(self._name), self._wanted)
            if descriptor.media_type in INDEXES:
                image = replace(image, index=descriptor)
        except (CorruptStore, UnknownImage):  # removed by another process since we found its name
            return None
        config = image.manifest.config.digest
        if not self._layout.has_blob(config) or not all(map(self._layers.is_here, image.manifest.layers)):
            return None
        check_platform(image.config, self._wanted)
        return image

    def _config_bytes(self, manifest: Manifest) -> bytes:
        what = f"{self._name.familiar}: config"
        check_kind(manifest, what)
        if self._layout.has_blob(manifest.config.digest):
            return self._layout.read_blob(manifest.config.digest)
        return self._repository.read_blob(manifest.config, what)

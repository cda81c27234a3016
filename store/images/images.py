"""The images of one store: find by name, record, remove, and open layer by layer. Heavy parts load on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rootlay.store.chunks.fetch import OpenFetch, unreachable
from rootlay.store.disk.durable import sweep
from rootlay.store.layout.blobcheck import check_blobs, check_present
from rootlay.store.layout.catalog import Catalog
from rootlay.store.layout.identity import stack_ids
from rootlay.store.layout.layout import Layout
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import BadManifest, CorruptStore
from rootlay.store.model.image import Image, ImageRecord
from rootlay.store.model.imageconfig import ImageConfig
from rootlay.store.model.imagenames import with_name
from rootlay.store.model.manifest import OCI_CONFIG, OCI_MANIFEST, Descriptor, Manifest, Platform
from rootlay.store.model.progress import Note, Progress, silent
from rootlay.store.model.reference import Reference

if TYPE_CHECKING:
    from rootlay.store.layer.layer import Layer
    from rootlay.store.layout.indexdocuments import IndexDocument
    from rootlay.store.layout.removal import Removed
    from rootlay.store.model.limits import Limits


class Images:
    """Images, layers and their blobs below one root directory. Any number of processes may use it at a time."""

    def __init__(self, layout: Layout, open_fetch: OpenFetch = unreachable) -> None:
        """Use `open`. `open_fetch` returns the fetcher of missing content of lazy layers."""
        self.layout = layout
        self.root = layout.root
        self._open_fetch = open_fetch

    @classmethod
    def open(cls, root: Path, *, create: bool = True, limits: Limits | None = None) -> Self:
        """Open the store at `root`, made if missing unless `create` is false. Sweeps leftovers of dead writers.

        Args:
            limits: how much an imported image may unpack to.

        Raises StoreNotWritable, DiskFull, CorruptStore, RootlayError.
        """
        layout = Layout(Path(root).absolute(), limits)
        if create:
            layout.create()
        layout.check()
        store = cls(layout)
        store.sweep()
        return store

    def sweep(self) -> None:
        """Remove leftovers of dead writers in `tmp/`. Fast, safe at any time."""
        sweep(self.layout.tmp)

    def staging(self) -> AbstractContextManager[Path]:
        """Make a private directory below `tmp/`, on the store's file system, removed at the end."""
        return self.layout.staging()

    # Images

    def images(self, note: Note | None = None) -> list[ImageRecord]:
        """Return all images, one record for each name, newest first.

        Args:
            note: receives the damaged ones, which are left out; None: the first of them raises.

        Raises CorruptStore, BadManifest.
        """
        return Catalog(self.layout).records(note)

    def image(self, reference: str, platform: Platform | None = None) -> Image:
        """Return an image by name, `name:tag`, `name@digest`, ID or unique prefix of an ID.

        Args:
            platform: which one of a multi-platform image, as an image of its own; None: the one for this machine, or
                the first if there is none.

        Raises UnknownImage, AmbiguousImage, BadReference, CorruptStore; WrongPlatform (only if a platform is given).
        """
        return Catalog(self.layout).get(reference, platform)

    def has_image(self, image: Image) -> bool:
        """Return whether an image that was read before is still here, under any names. Raises CorruptStore."""
        return any(found.digest == image.entry.digest for found in self.layout.read_index().manifests)

    def add_image(
        self, config: ImageConfig, layers: Sequence[Descriptor], reference: str | None, *, config_bytes: bytes = b""
    ) -> Image:
        """Record an image of layers that are in the store. Durable; `index.json` changes last.

        Args:
            config: its diff IDs belong to `layers`, base layer first.
            reference: its name, which is taken from another image; None for an image without a name.
            config_bytes: the document that `config` was parsed from, if the image ID must be kept.

        Raises BadReference, BadManifest, CorruptStore (a blob is missing), StoreNotWritable, DiskFull.
        """
        name = None if reference is None else Reference.parse(reference)
        document = config_bytes or config.to_bytes()
        with self.layout.importing(), self.layout.staging() as staging:
            digest = self.layout.add_blob(staging, document)
            manifest = Manifest(OCI_MANIFEST, Descriptor(OCI_CONFIG, digest, len(document)), tuple(layers))
            return self.add_manifest(manifest.to_bytes(), name, config.platform)

    def add_manifest(self, document: bytes, name: Reference | None, platform: Platform | None = None) -> Image:
        """Record an image whose config and layers are in the store, by its manifest's bytes.

        Preconditions: the caller is inside `layout.importing()` since it stored the first of the blobs.

        Raises BrokenHardLink for layers that do not fit together.
        """

        manifest = Manifest.parse(document, "manifest")
        check_present(self.layout, manifest)
        with self.layout.staging() as staging:
            digest = self.layout.add_blob(staging, document)
        plain = Descriptor(manifest.media_type, digest, len(document), platform=platform)
        image = Catalog(self.layout).read(plain)
        check_links(self, image)
        self.layout.update_index(lambda index: with_name(index, plain, name))
        return self._read_again(image)

    def add_index(self, documents: Iterable[IndexDocument], name: Reference | None) -> Image:
        """Record a multi-platform image whose blobs are in the store: its documents, children first.

        Preconditions and errors as `add_manifest`.
        """

        top: Descriptor | None = None
        catalog = Catalog(self.layout)
        with self.layout.staging() as staging:
            for found in documents:
                if found.manifest is not None:
                    check_blobs(self.layout, found.blobs)
                top = Descriptor(found.descriptor.media_type, found.descriptor.digest, len(found.data))
                self.layout.add_blob(staging, found.data, top.digest)
                if found.is_image:
                    check_links(self, catalog.read(found.descriptor))
        if top is None:
            raise BadManifest("index", "no documents")
        entry = top
        self.layout.update_index(lambda index: with_name(index, entry, name))
        return Catalog(self.layout).read(entry)

    def _read_again(self, image: Image) -> Image:
        """Return the image with its current names."""
        return Catalog(self.layout).read(image.entry)

    def tag(self, image: Image | str, reference: str) -> Image:
        """Give an image one more name, which is taken from another image. Raises BadReference, UnknownImage."""
        name = Reference.parse(reference).with_default_tag()
        with self.layout.use():
            found = self.image(image if isinstance(image, str) else str(image.entry.digest))
            self.layout.update_index(lambda index: with_name(index, found.entry, name))
        return self._read_again(found)

    def remove(self, reference: str, *, force: bool = False, in_use: Callable[[], Iterable[Digest]] = tuple) -> Removed:
        """Remove a name, and the image with its last name (see `rootlay.store.layout.removal`).

        Args:
            in_use: returns the diff IDs of layers, and the chain IDs of views, that containers need.

        Raises UnknownImage, ImageInUse, StoreNotWritable.
        """
        from rootlay.store.layout.removal import remove_image

        return remove_image(self.layout, reference, force=force, in_use=in_use)

    def prune(self, *, in_use: Callable[[], Iterable[Digest]] = tuple, dry_run: bool = False) -> Removed:
        """Remove images without a name, and leftovers of crashes; `dry_run`: only list them. See `remove`."""
        from rootlay.store.layout.removal import prune

        return prune(self.layout, in_use, dry_run=dry_run)

    # Layers

    def layer(self, diff_id: Digest) -> Layer:
        """Open an imported layer; the caller closes it. Raises CorruptStore if it is not here."""
        from rootlay.store.layer.layer import Layer

        try:
            return Layer(self.layout.layer_directory(diff_id), self.layout.blobs, self._open_fetch)
        except FileNotFoundError as error:
            raise CorruptStore(f"layer {diff_id}", "not imported") from error

    def prepare(self, image: Image, progress: Progress = silent) -> None:
        """Index the layers of an image without an index: another tool put it into the layout, or an index was removed.

        Raises NotFetched for a lazily pulled image that is not complete.
        """
        from rootlay.store.layer.load import index_missing

        index_missing(self.layout, image, progress)

    def prepare_stack(self, image: Image) -> tuple[Digest, ...]:
        """Prepare as `prepare`, but accept lazy layers: return the IDs of the layers here, base layer first."""
        from rootlay.store.layer.load import index_missing

        index_missing(self.layout, image, silent, lazily=True)
        return stack_ids(self.layout, image)


def check_links(images: Images, image: Image) -> None:
    """Raise BrokenHardLink for an unusable image, before it gets a name.

    Only a hard link to a name of a lower layer can fail, and few images have one: for those the view is built now.
    Layers without an index are checked when they are indexed.
    """
    from rootlay.store.view.build import build_view  # with lmdb

    ids = stack_ids(images.layout, image)
    if not all(map(images.layout.has_layer, ids)):
        return
    for diff_id in dict.fromkeys(ids):
        with closing(images.layer(diff_id)) as layer:
            if layer.meta.lower_links != 0:
                build_view(images, ids)
                return

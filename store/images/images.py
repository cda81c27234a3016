"""The images of one store: find by name, remove, and open layer by layer. Heavy parts load on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from rootlay.store.disk.durable import sweep
from rootlay.store.layout.catalog import Catalog
from rootlay.store.layout.layout import Layout
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import CorruptStore
from rootlay.store.model.image import Image, ImageRecord
from rootlay.store.model.manifest import Platform
from rootlay.store.model.progress import Note, Progress, silent
from rootlay.store.model.reference import Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rootlay.store.chunks.fetch import OpenFetch
    from rootlay.store.layer.layer import Layer
    from rootlay.store.layout.removal import Removed


class Images:
    """Images, layers and their blobs below one root directory. Any number of processes may use it at a time."""

    def __init__(self, layout: Layout, open_fetch: OpenFetch) -> None:
        """`open_fetch` returns the fetcher of missing content of lazy layers."""
        self.layout = layout
        self.root = layout.root
        self._open_fetch = open_fetch

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
        return bool(self.layout.read_names().of_image(image.entry.digest))

    def tag(self, image: Image | str, reference: str) -> Image:
        """Give an image one more name, which is taken from another image. Raises BadReference, UnknownImage."""
        name = Reference.parse(reference).with_default_tag()
        with self.layout.use():
            found = self.image(image if isinstance(image, str) else str(image.entry.digest))
            self.layout.update_names(lambda names: names.add(found.entry, name))
        self.note("tag", str(found.id), str(name))
        return Catalog(self.layout).read(found.entry)

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

    def note(self, action: str, identity: str, name: str) -> None:
        """Append an event of an image to the store's log, see rootlay.store.disk.eventlog."""
        from rootlay.store.disk.eventlog import append_event

        append_event(self.layout.root, "image", action, identity, {"name": name})

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
        from rootlay.store.layout.identity import stack_ids

        index_missing(self.layout, image, silent, lazily=True)
        return stack_ids(self.layout, image)

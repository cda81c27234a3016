"""The store: all data on disk, behind one object. Opening it is cheap; heavy parts load at their first use."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from rootlay.store.images.images import Images
from rootlay.store.layout.layout import Layout
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import CorruptStore
from rootlay.store.model.image import Image
from rootlay.store.model.imageconfig import RunConfig
from rootlay.store.model.manifest import Platform
from rootlay.store.model.progress import Note, Progress, silent, unheard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import BinaryIO, Self

    from rootlay.store.bundle.reader import BundleView
    from rootlay.store.chunks.fetch import FetchRange
    from rootlay.store.hydrate.hydrator import Hydrator
    from rootlay.store.model.limits import Limits
    from rootlay.store.view.view import View


class ImageStore(Images):
    """The images of a store, with import and export; registries supply the content of lazy layers."""

    def __init__(self, layout: Layout) -> None:
        """Use `open`."""
        super().__init__(layout, _open_fetch)

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

    def import_rootfs(
        self,
        source: Path | BinaryIO,
        reference: str | None,
        *,
        config: RunConfig | None = None,
        message: str = "",
        platform: Platform | None = None,
        created: datetime | None = None,
        progress: Progress = silent,
    ) -> Image:
        """Make an image of one layer from a root file system (see `rootlay.store.exchange.rootfs`)."""
        from rootlay.store.exchange.rootfs import import_rootfs

        image = import_rootfs(
            self, source, reference, config=config, message=message, platform=platform, created=created,
            progress=progress,
        )  # fmt: skip
        self.note("import", str(image.id), reference or "")
        return image

    def load(
        self,
        source: Path | BinaryIO,
        *,
        reference: str | None = None,
        platform: Platform | None = None,
        progress: Progress = silent,
        link: bool = False,
        only: Collection[str] = (),
        note: Note = unheard,
        all_platforms: bool = False,
    ) -> list[Image]:
        """Load the images of a docker-archive, an OCI layout or a bundle (see `rootlay.store.exchange.load`)."""
        from rootlay.store.exchange.load import load

        images = load(
            self, source, reference=reference, platform=platform, progress=progress, link=link, only=only, note=note,
            all_platforms=all_platforms,
        )  # fmt: skip
        for image in images:
            self.note("load", str(image.id), next(iter(image.references), str(image.id)))
        return images

    def save(
        self,
        references: Collection[str],
        out: BinaryIO | Path,
        format: str = "docker-archive",  # noqa: A002
        *,
        compression: str | None = None,
        platform: Platform | None = None,
        progress: Progress = silent,
    ) -> None:
        """Write images to an archive or a directory (see `rootlay.store.exchange.save`)."""
        from rootlay.store.exchange.save import save

        save(self, references, out, format, compression=compression, platform=platform, progress=progress)


def _open_fetch(directory: Path) -> FetchRange:
    from rootlay.store.registry.lazyfetch import open_fetch  # with the whole registry client

    return open_fetch(directory)


def open_lower(root: Path, chain: str) -> tuple[View | BundleView, Hydrator]:
    """Return the view of a chain ID (or of a bundle's ID) and its hydrator. The caller closes both, the hydrator first.

    Raises FileNotFoundError, CorruptStore, TruncatedArchive.
    """
    from rootlay.store.bundle.attach import link_path, open_attached
    from rootlay.store.hydrate.hydrator import Hydrator
    from rootlay.store.view.build import view_path
    from rootlay.store.view.view import View

    digest = Digest.parse(chain)
    view: View | BundleView
    if link_path(root, digest).is_symlink():
        from rootlay.store.bundle.reader import BundleContent, BundleView

        view = BundleView(open_attached(root, digest))
        for layer in view.layers:
            (root / "layers" / layer.hex).mkdir(mode=0o700, parents=True, exist_ok=True)
        return view, Hydrator(BundleContent(root, link_path(root, digest)), view)
    store = ImageStore.open(root)
    view = View.open(view_path(store.root, digest))
    if view.chain_id != digest:
        view.close()
        raise CorruptStore(str(view.path), f"it is the view of {view.chain_id}")
    return view, Hydrator(store, view)

"""Removal of names and images, and of the blobs, layer indexes and views that are not needed any more (mark and sweep).

Rules:
1. `index.json` is changed first: this removes the image; a crash leaves garbage, never an image without its blobs.
2. All parts of the removed images that nothing else needs (`store.layout.gcroots`) are removed. Other garbage (of a
   crash, of other tools that write into the layout) is removed when it is older than `GRACE_S`: other tools hold no
   leases.
3. The remove lock is held from reading the roots to the last rename; deletion follows. Importers and readers wait no
   longer than that, and removers never wait for a download.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rootlay.store.disk.eventlog import append_event
from rootlay.store.disk.removetree import remove_tree
from rootlay.store.disk.walktree import iter_tree
from rootlay.store.layout.catalog import Catalog
from rootlay.store.layout.gcroots import InUse, Needed, needed_by_all, needed_by_entry
from rootlay.store.layout.layout import Change, Layout
from rootlay.store.layout.partialblob import remove_partials
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import ImageInUse, RootlayError
from rootlay.store.model.image import Image
from rootlay.store.model.reference import Reference
from rootlay.store.model.value import replace, value

GRACE_S = 3600


@value
class Removed:
    """The result of `remove`: removed names and images, files and directories by their place in the store, bytes."""

    untagged: tuple[str, ...] = ()
    deleted: tuple[Digest, ...] = ()
    freed_bytes: int = 0
    places: tuple[str, ...] = ()


def remove_image(layout: Layout, text: str, *, force: bool, in_use: InUse) -> Removed:
    """Remove the name `text`, or the image of that ID. Durable; idempotent after a crash.

    The image is removed with its last name. By ID, an image with several names is removed only with `force`.

    Raises UnknownImage, AmbiguousImage, BadReference, ImageInUse, StoreNotWritable.
    """
    with removing(layout, in_use) as removal:
        removed = removal.remove(text, force=force)
    return replace(removed, freed_bytes=removal.freed_bytes, places=removal.places)


@contextmanager
def removing(layout: Layout, in_use: InUse) -> Iterator[Removal]:
    """Remove any number of images: at the end `index.json` is written once, and the needed objects are computed once.

    After an error, too, the images are removed that were handled before it.
    """
    with _sweeping(layout) as sweep:
        removal = Removal(layout)
        try:
            yield removal
        finally:
            removal.finish(sweep, in_use)


class Removal:
    """The removal of several images (see `removing`). `freed_bytes` and `places` are known at its end."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._names = layout.read_names()
        self.catalog = Catalog(layout, self._names)
        self._changes: list[Change] = []
        self._candidates: Needed | None = None
        self._events: list[tuple[str, str]] = []
        self.freed_bytes = 0
        self.places: tuple[str, ...] = ()

    def remove(self, text: str, *, force: bool) -> Removed:
        """Remove a name or an image as `remove_image`; how much becomes free is not known yet."""
        catalog = self.catalog
        image = catalog.read(catalog.locate(text)[0])  # one of several platforms is removed with the others
        by_name = catalog.find_named(text)
        if by_name is not None and by_name.ref_name is not None and len(image.references) > 1:
            reference = Reference.parse(by_name.ref_name)
            self._change(lambda names: names.remove_name(reference))
            self._events.append(("untag", by_name.ref_name))
            return Removed(untagged=(by_name.ref_name,))
        if len(image.references) > 1 and not force:
            raise ImageInUse(text, f"it has the names {', '.join(image.references)}: remove those, or use --force")
        self.forget(image)
        return Removed(image.references, (image.id,))

    def forget(self, image: Image) -> None:
        """Remove an image with all its names."""
        self._candidates = self._candidates or Needed()
        self._candidates.add(needed_by_entry(self._layout, image.entry))
        self._change(lambda names: names.remove_images((image.entry.digest,)))
        self._events += [*(("untag", name) for name in image.references), ("delete", str(image.id))]

    def _change(self, change: Change) -> None:
        change(self._names)
        self._changes.append(change)

    def finish(self, sweep: _Sweep, in_use: InUse, grace_s: float = GRACE_S) -> None:
        """Write `index.json`, then remove what nothing needs any more. Preconditions: the remove lock is held."""
        if self._changes:
            self._layout.update_names(lambda names: [change(names) for change in self._changes])
        for action, identity in self._events:
            append_event(self._layout.root, "image", action, identity, {"name": identity})
        if self._candidates is not None:
            needed = needed_by_all(self._layout, in_use)
            self.freed_bytes, self.places = sweep.run(needed, self._candidates, grace_s=grace_s)


def prune(layout: Layout, in_use: InUse, *, dry_run: bool = False, grace_s: float = GRACE_S) -> Removed:
    """Remove images without a name, and all garbage that is older than `grace_s`.

    Args:
        dry_run: list the objects to remove, and change nothing.
    """
    with _sweeping(layout) as sweep:
        gone = [image for image in Catalog(layout).images() if not image.references]
        candidates = Needed()
        digests = {image.entry.digest for image in gone}
        for image in gone:
            candidates.add(needed_by_entry(layout, image.entry))
        if gone and not dry_run:
            layout.update_names(lambda names: names.remove_images(digests))
        needed = needed_by_all(layout, in_use, without=digests)
        freed, places = sweep.run(needed, candidates, dry_run=dry_run, grace_s=grace_s)
        freed += remove_partials(layout, dry_run=dry_run)
        return Removed((), tuple(image.id for image in gone), freed, places)


def remove_layers(
    layout: Layout, layers: Collection[tuple[Digest, Digest]], in_use: InUse, *, dry_run: bool = False
) -> int:
    """Remove unneeded layers (diff ID, blob) that a cache has dropped. Returns the bytes.

    Raises StoreNotWritable.
    """
    candidates = Needed({blob.hex for _, blob in layers}, {diff_id.hex for diff_id, _ in layers})
    with _sweeping(layout) as sweep:
        return sweep.run(needed_by_all(layout, in_use), candidates, dry_run=dry_run, grace_s=float("inf"))[0]


def remove_views(layout: Layout, chains: Iterable[Digest], in_use: InUse) -> None:
    """Remove unneeded views of intermediate stacks, which a build made. Best effort: if the lock is taken they stay, as
    garbage for `prune`."""
    candidates = Needed(views={chain.hex for chain in chains})
    if not candidates.views:
        return
    with suppress(OSError, RootlayError), layout.staging() as staging, layout.remove_lock(wait=False):
        needed = needed_by_all(layout, in_use)
        for path in layout.views.iterdir():
            name = path.name.partition(".")[0]
            if name in candidates.views and name not in needed.views:
                os.rename(path, staging / path.name)


def discard(layout: Layout, published: Iterable[Path]) -> None:
    """Remove the objects that a failed import just published, unless they are needed. Best effort: if a remover is
    active they stay, as garbage for `prune`."""
    try:
        with layout.remove_lock(wait=False):
            needed = needed_by_all(layout, tuple)
            for path in published:
                if path.parent == layout.layers:
                    if path.name not in needed.layers:
                        remove_tree(path, ignore_errors=True)
                elif path.name not in needed.blobs:
                    path.unlink(missing_ok=True)
    except (OSError, RootlayError):
        return


@contextmanager
def _sweeping(layout: Layout) -> Iterator[_Sweep]:
    """Hold the remove lock; delete the swept objects after the lock is released."""
    with layout.staging() as staging:
        with layout.remove_lock():
            yield _Sweep(layout, staging)
        for path in staging.iterdir():
            if path.is_symlink() or not path.is_dir():
                path.unlink()
            else:
                remove_tree(path, ignore_errors=True)


class _Sweep:
    """The move of unneeded objects to the trash."""

    def __init__(self, layout: Layout, staging: Path) -> None:
        self.layout = layout
        self.staging = staging

    def run(
        self, needed: Needed, candidates: Needed, *, dry_run: bool = False, grace_s: float = GRACE_S
    ) -> tuple[int, tuple[str, ...]]:
        """Move candidates and old garbage that are not needed to the trash; return bytes and places."""
        old = time.time() - grace_s
        freed = 0
        places = []
        for directory, keep, going in (
            (self.layout.layers, needed.layers, candidates.layers),
            (self.layout.views, needed.views, candidates.views),
            (self.layout.blobs / "sha256", needed.blobs, candidates.blobs),
        ):
            for path in sorted(directory.iterdir()):
                name = path.name.partition(".")[0]
                if name not in keep and (name in going or path.lstat().st_mtime < old):
                    freed += _bytes_of(path)
                    places.append(str(path.relative_to(self.layout.root)))
                    if not dry_run:
                        os.rename(path, self.staging / f"{len(places)}-{path.name}")
        return freed, tuple(places)


def _bytes_of(path: Path) -> int:
    """Return the sum of the sizes of a file, or of all files below a directory."""
    if path.suffix == ".base":  # a link to a view, which counts it
        return 0
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(
        os.stat(entry.name, dir_fd=fd, follow_symlinks=False).st_size
        for fd, entry in iter_tree(path)
        if not entry.is_dir(follow_symlinks=False)
    )

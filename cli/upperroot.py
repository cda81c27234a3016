"""The place of a container whose image is in a read-only store: below the directory of `--upper`.

`DIR/upper` is its writable layer, and `DIR/store` a store that links to the image (linkedstore) and holds the
container's record and the files hydrated for it. Both are there for the next run with the same directory.
"""

from __future__ import annotations

import os
from pathlib import Path

from rootlay.cli.spec import Context, UsageError
from rootlay.store.containers.record import HOST_IMAGE
from rootlay.store.model.errors import StoreNotWritable
from rootlay.store.model.value import replace
from rootlay.vfs.containers.create import ContainerOptions


def for_upper(context: Context, options: ContainerOptions) -> tuple[Context, ContainerOptions]:
    """Return the context and the options to make a container with, for ones whose store is read-only.

    Raises:
        StoreNotWritable: no `--upper` is given.
        UsageError: that directory contains something else.
        UnknownImage, AmbiguousImage, WrongPlatform: as for any container.
    """
    if not options.upper:
        raise StoreNotWritable(context.root, "read-only; use --upper DIR to keep the container below DIR")
    place = Path(options.upper).absolute()
    root = place / "store"
    if not (root / "oci-layout").exists() and place.exists() and os.listdir(place):
        raise UsageError(
            f"--upper {options.upper}: the store {context.root} is read-only, so the container's record and files go "
            "there, too: use an empty directory, or one of an earlier --upper"
        )
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    from rootlay.store.store import ImageStore

    target = ImageStore.open(root)
    options = replace(options, upper=str(place / "upper"))
    if options.image not in ("", HOST_IMAGE) and not _is_bundle(options.image):
        from rootlay.store.exchange.linkedstore import link_image

        source = ImageStore.open(context.root, create=False)
        image = source.image(options.image, options.platform)
        reference = link_image(source.layout, image, target.layout).manifest_digest
        if not image.references or options.platform is not None:
            options = replace(options, image=str(reference), platform=None)
    if not options.auto_remove:
        note = f"rootlay: note: {context.root} is read-only: the container is in {root} (use it with --root)"
        context.err.line(note)
    return replace(context, root=root), options


def _is_bundle(image: str) -> bool:
    if "/" not in image:
        return False
    from rootlay.store.bundle.format import is_bundle

    return is_bundle(image)

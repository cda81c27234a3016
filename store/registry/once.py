"""The pull of an image that is missing, by one process for all that need it at the same time.

When many programs start at once on one machine, each finds that the store lacks the image. One of them takes the lock
of the name and pulls; the others wait for it, and find the image then: one request for the manifest, and each layer
once. Without it only the layers are fetched once (each has a lock of its own); every process asks for the manifest and
checks the name.

The lock is by the name as it is asked for: two names of one image are two pulls, which share the layers.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from rootlay.store.disk.lock import acquire
from rootlay.store.model.errors import UnknownImage
from rootlay.store.model.image import Image
from rootlay.store.model.manifest import Platform
from rootlay.store.model.progress import Note, Progress, silent, unheard
from rootlay.store.registry.pull import pull
from rootlay.store.registry.settings import Settings

if TYPE_CHECKING:
    from rootlay.store.images.images import Images


def pull_missing(
    store: Images,
    reference: str,
    settings: Settings,
    *,
    platform: Platform | None = None,
    lazy: bool = False,
    progress: Progress = silent,
    note: Note = unheard,
) -> tuple[Image, bool]:
    """Return an image of the store, and whether this process pulled it.

    If the process that pulls fails or dies, the next one that waits tries in its turn.

    Raises as `rootlay.store.registry.pull.pull`.
    """
    found = _find(store, reference, platform)
    if found is not None:
        return found, False
    key = hashlib.sha256(f"{reference} {platform or ''}".encode()).hexdigest()[:32]
    with acquire(store.layout.locks / f"pull-{key}.lock"):
        found = _find(store, reference, platform)
        if found is not None:
            return found, False
        done = pull(store, reference, settings, platform=platform, progress=progress, lazy=lazy, note=note)
    return done.image, True


def _find(store: Images, reference: str, platform: Platform | None) -> Image | None:
    try:
        return store.image(reference, platform)
    except UnknownImage:
        return None

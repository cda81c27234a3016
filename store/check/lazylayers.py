"""Checks of the files that a lazily pulled layer keeps next to its index (docs/format.md §11)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from rootlay.store.check.finding import Finding, Quarantine, Status, words_of
from rootlay.store.check.scope import Scope
from rootlay.store.chunks.blockcache import BLOCK_BYTES, DATA_NAME, HAVE_NAME, BlockCache
from rootlay.store.chunks.origin import ORIGIN_NAME, Origin
from rootlay.store.layout.layerfiles import layer_exists
from rootlay.store.model.errors import CorruptStore


def check_lazy_layers(scope: Scope) -> Iterator[Finding]:
    """Check that the origin is readable, and that blob and block list have the sizes that it states.

    The set of blocks and their content need no check: each chunk is verified on every read.
    """
    for directory in sorted(scope.layout.layers.iterdir()):
        if not layer_exists(directory):
            continue  # the index is written last: a pull was killed, and the next one resumes from here
        if any((directory / name).exists() for name in (ORIGIN_NAME, DATA_NAME, HAVE_NAME)):
            yield from _check(scope, directory)


def _check(scope: Scope, directory: Path) -> Iterator[Finding]:
    path = directory / ORIGIN_NAME
    try:
        origin = Origin.read(directory)
    except (OSError, CorruptStore) as error:
        text = f"{words_of(error)}; pull the image again for what is not here yet"
        yield Finding(
            "lazy-damaged",
            scope.place(path),
            text,
            (lambda quarantine: quarantine.take("lazy-damaged", path, text)) if path.exists() else None,
        )
        return
    size = origin.layer.size
    wanted = {DATA_NAME: size, HAVE_NAME: -(-size // BLOCK_BYTES)}
    for name, expected in wanted.items():
        try:
            found = os.stat(directory / name).st_size
            text = f"{found} bytes instead of {expected}"
        except FileNotFoundError:
            found, text = -1, "missing"
        if found != expected:

            def fix(quarantine: Quarantine, text: str = text) -> Status:
                for one in wanted:
                    if (directory / one).exists():
                        quarantine.take("lazy-damaged", directory / one, text)
                BlockCache.create(directory, size)  # all of it is fetched again
                return "rebuilt"

            yield Finding("lazy-damaged", scope.place(directory / name), text, fix)
            return

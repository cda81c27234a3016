"""Gradual fetching of the rest of a lazy layer, and the ordinary layer that is made from it.

Rules:
1. A program that waits for a chunk has priority: nothing is fetched until `QUIET_S` after the last demand.
2. A complete layer goes through the import of `load` and `pull`: both digests are verified, and the promised layer
   becomes an ordinary one. The lazy one stays for the containers that use it; the bytes are shared.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from rootlay.store.chunks.blockcache import DATA_NAME, BlockCache
from rootlay.store.chunks.fetch import FetchRange, OpenFetch
from rootlay.store.chunks.origin import Origin
from rootlay.store.chunks.segments import FETCH_BYTES_MAX
from rootlay.store.layer.ingest import LayerSource
from rootlay.store.layer.load import LayerLoader
from rootlay.store.layout.importing import importing
from rootlay.store.layout.layout import Layout
from rootlay.store.layout.partialblob import iter_partial, partial_path
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import RootlayError
from rootlay.store.model.progress import silent

QUIET_S = 1.0
_STEP_BYTES = 1 << 20
_NICE = 10

Report = Callable[[int], None]


def bring_all(
    directory: Path,
    fetch: FetchRange,
    report: Report,
    *,
    step_bytes: int = FETCH_BYTES_MAX,
    wait: Callable[[], bool] = lambda: True,
) -> int:
    """Fetch the missing part of the blob; return its bytes. `wait` is called before each piece, False ends the loop."""
    blocks = BlockCache(directory)
    fetched = 0
    try:
        missing = blocks.missing(0, blocks.size, step_bytes)
        done = blocks.size - sum(end - start for start, end in missing)
        for start, end in missing:
            if not wait():
                break
            for begin, until in blocks.missing(start, end, step_bytes):  # another process may have been faster
                blocks.write(begin, fetch(begin, until))
                fetched += until - begin
            done += end - start
            report(done)
    finally:
        blocks.close()
    return fetched


def keep_as_partial(layout: Layout, own_id: Digest, origin: Origin) -> Path:
    """Let the next import of the layer start with all bytes: in the form of `partialblob`, without a copy."""
    path = partial_path(layout.tmp, origin.diff_id, origin.layer.digest)
    with suppress(FileNotFoundError):
        path.unlink()
    os.link(layout.layer_directory(own_id) / DATA_NAME, path)
    return path


def settle(layout: Layout, own_id: Digest) -> None:
    """Make an ordinary layer from a complete lazy one. Idempotent. Raises as `ingest_layer`."""
    directory = layout.layer_directory(own_id)
    origin = Origin.read(directory)
    what = f"layer {origin.layer.digest.short}"
    with importing(layout):
        kept = keep_as_partial(layout, own_id, origin)
        try:
            chunks = iter_partial(kept, origin.layer.size)
            source = LayerSource(what, chunks, origin.layer, origin.diff_id, partial=kept)
            LayerLoader(layout, silent, what, origin.layer.size).load(source, origin.layer.size)
        finally:
            kept.unlink(missing_ok=True)


class Filler:
    """A thread that fetches lazy layers while a program runs. It ends by itself; the process may end before."""

    def __init__(self, layout: Layout, own_ids: Iterable[Digest], open_fetch: OpenFetch) -> None:
        """Use `open_fetch`, which returns the fetcher of ranges for the layer in a directory."""
        self._layout = layout
        self._own_ids = tuple(own_ids)
        self._open_fetch = open_fetch
        self._last_demand = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="filler", daemon=True)

    def start(self) -> None:
        """Start, after a pause."""
        self._thread.start()

    def demand(self) -> None:
        """Pause, because a program waits for content."""
        self._last_demand = time.monotonic()

    def _wait(self) -> bool:
        while (left := self._last_demand + QUIET_S - time.monotonic()) > 0:
            time.sleep(left)
        return True

    def _run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)  # Linux: for this thread alone
        for own_id in self._own_ids:
            directory = self._layout.layer_directory(own_id)
            # No network, no space, a damaged layer: programs get the error when they need it, the next session tries
            # again.
            with suppress(RootlayError, OSError):
                self._wait()
                bring_all(
                    directory, self._open_fetch(directory), lambda done: None, step_bytes=_STEP_BYTES, wait=self._wait
                )
                settle(self._layout, own_id)

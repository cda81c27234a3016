"""Views that are deltas, of images of a few names; and the removal maps of uppers over them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rootlay.store.containers.bloom import RemovedHeader
from rootlay.store.view import deltabuild
from rootlay.store.view.view import View


@contextmanager
def small_deltas() -> Iterator[None]:
    """In this block a view on top of another one is a delta, however small both are."""
    before = deltabuild.MIN_ENTRIES, deltabuild.SHARE
    deltabuild.MIN_ENTRIES = deltabuild.SHARE = 1
    try:
        yield
    finally:
        deltabuild.MIN_ENTRIES, deltabuild.SHARE = before


def write_removal_map(path: Path, view: View) -> None:
    """Make an empty removal map over a view (docs/format.md §7a)."""
    with closing(view.open_native()) as native:
        header = RemovedHeader.of(native.entries + 1, native.chain_id, native.base_chain_id)
    path.write_bytes(header.pack().ljust(header.file_bytes, b"\0"))

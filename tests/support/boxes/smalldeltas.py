"""Views that are deltas, of images of a few names; and the removal maps of uppers over them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from rootlay.store.containers.bloom import RemovedHeader
from rootlay.store.view import deltabuild
from rootlay.store.view.view import View
from rootlay.vfs import Image


@contextmanager
def small_deltas() -> Iterator[None]:
    """In this block a view on top of another one is a delta, however small both are."""
    before = deltabuild.MIN_ENTRIES, deltabuild.SHARE
    deltabuild.MIN_ENTRIES = deltabuild.SHARE = 1
    try:
        yield
    finally:
        deltabuild.MIN_ENTRIES, deltabuild.SHARE = before


def commit_delta(image: Image, monkeypatch: pytest.MonkeyPatch) -> Image:
    """Commit three changes of the small image. For this test, views on top of others are deltas, that of the new image,
    too."""
    monkeypatch.setattr(deltabuild, "MIN_ENTRIES", 1)
    monkeypatch.setattr(deltabuild, "SHARE", 1)
    with image.container() as c:
        c.fs.writetext("/usr/share/doc/one/added", "x")
        c.fs.writetext("/etc/motd", "changed\n")
        c.fs.remove("/usr/share/doc/two/readme")
        return c.commit("delta")


def write_removal_map(path: Path, view: View) -> None:
    """Make an empty removal map over a view (docs/format.md §7a)."""
    with closing(view.open_native()) as native:
        header = RemovedHeader.of(native.entries + 1, native.chain_id, native.base_chain_id)
    path.write_bytes(header.pack().ljust(header.file_bytes, b"\0"))

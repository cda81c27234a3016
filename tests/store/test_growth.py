"""Work that must not grow with the number of images: the index is written once a command, and read as seldom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rootlay.store.disk.durable import write_file
from rootlay.store.layout import layout as layout_module
from rootlay.store.layout import removal as removal_module
from rootlay.store.layout.gcroots import needed_by_all
from rootlay.store.layout.removal import removing
from rootlay.store.model.errors import DigestMismatch, UnknownImage
from rootlay.store.model.image import Image
from rootlay.store.model.manifest import Index, Manifest
from rootlay.store.store import ImageStore
from tests.support.archives.make import LayoutBuilder, make_tar

pytestmark = pytest.mark.once

COUNT = 12


def layout_of_images(directory: Path, count: int = COUNT) -> Path:
    builder = LayoutBuilder()
    base = make_tar([("a", "f", "base")])
    for number in range(count):
        builder.name(builder.manifest([base, make_tar([("b", "f", str(number))])]), f"image{number}:latest")
    return builder.write(directory)


def blobs(store: ImageStore) -> set[str]:
    return {path.name for path in (store.layout.blobs / "sha256").iterdir()}


def blobs_of(images: list[Image]) -> set[str]:
    found = {digest.hex for image in images for digest in (image.descriptor.digest, image.id)}
    return found | {layer.digest.hex for image in images for layer in image.manifest.layers}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often each of three things was done."""
    found = dict.fromkeys(("written", "parsed", "marked"), 0)

    def count(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            found[name] += 1
            return function(*given, **named)

        return call

    monkeypatch.setattr(layout_module, "write_file", count("written", write_file))
    monkeypatch.setattr(removal_module, "needed_by_all", count("marked", needed_by_all))
    monkeypatch.setattr(Index, "parse", staticmethod(count("parsed", Index.parse)))
    return found


def test_load_writes_the_index_once(store: ImageStore, tmp_path: Path, counted: dict[str, int]) -> None:
    source = layout_of_images(tmp_path / "layout")
    counted.update(written=0, parsed=0)
    loaded = store.load(source)
    assert counted == {"written": 1, "parsed": 4, "marked": 0}
    assert [image.references for image in loaded] == [(f"image{number}:latest",) for number in range(COUNT)]
    assert {record.reference for record in store.images()} == {f"image{number}:latest" for number in range(COUNT)}


def test_many_images_are_removed_by_one_mark_and_one_index(
    store: ImageStore, tmp_path: Path, counted: dict[str, int]
) -> None:
    loaded = store.load(layout_of_images(tmp_path / "layout"))
    counted.update(written=0, parsed=0, marked=0)
    with removing(store.layout, tuple) as removal:
        for number in range(COUNT - 3):
            removal.remove(f"image{number}", force=False)
        removal.remove(loaded[-3].id.hex[:20], force=False)
        with pytest.raises(UnknownImage):
            removal.remove("image0", force=False)
    assert counted == {"written": 1, "parsed": 3, "marked": 1}
    assert removal.freed_bytes > 0
    assert blobs(store) == blobs_of(loaded[-2:])


def test_images_before_a_bad_one_stay(store: ImageStore, tmp_path: Path) -> None:
    source = layout_of_images(tmp_path / "layout", 3)
    index = Index.parse((source / "index.json").read_bytes(), "index.json")
    blob = source / "blobs/sha256"
    manifest = Manifest.parse((blob / index.manifests[1].digest.hex).read_bytes(), "manifest")
    (blob / manifest.layers[1].digest.hex).write_bytes(make_tar([("b", "f", "damaged")]))
    with pytest.raises(DigestMismatch):
        store.load(source)
    assert [record.reference for record in store.images()] == ["image0:latest"]
    assert blobs(store) == blobs_of([store.image("image0")])

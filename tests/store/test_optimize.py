"""`optimize`: packs beside gzip blobs."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest

from rootlay.store.layer.layer import Layer
from rootlay.store.layer.optimize import optimize_image
from rootlay.store.model.access import Access
from rootlay.store.model.entry import EntryType
from rootlay.store.model.image import Image
from rootlay.store.store import ImageStore
from tests.support.archives.make import make_tar

CONTENT = {f"d/f{n}": random.Random(n).randbytes(40_000) for n in range(40)}


@pytest.fixture
def image(store: ImageStore, tmp_path: Path) -> Image:
    tar = tmp_path / "t.tar.gz"
    tar.write_bytes(gzip.compress(make_tar([("d", "d", ""), *((name, "f", data) for name, data in CONTENT.items())])))
    return store.import_rootfs(tar, "t")


def content(layer: Layer) -> dict[str, bytes]:
    found = {}
    for name in CONTENT:
        entry = layer.find_path(name.encode())
        assert entry is not None
        assert entry.type is EntryType.FILE
        with layer.open_content(entry) as stream:
            found[name] = stream.read()
    return found


def test_packs_a_gzip_layer_once(store: ImageStore, image: Image) -> None:
    with_gzip = store.layer(image.diff_ids[0])
    assert with_gzip.meta.access is Access.GZIP
    before = list(with_gzip.iter_raw())
    (first,) = optimize_image(store.layout, image)
    assert first.pack_bytes == (store.layout.layer_directory(image.diff_ids[0]) / "pack.tar.zst").stat().st_size
    assert content(with_gzip) == CONTENT  # who has the layer open reads on
    with_gzip.close()
    layer = store.layer(image.diff_ids[0])
    assert layer.meta.access is Access.PACK
    assert list(layer.iter_raw()) == before
    assert content(layer) == CONTENT
    assert b"".join(bytes(piece) for piece in layer.iter_tar()) == gzip.decompress(
        store.layout.blob_path(layer.meta.blob).read_bytes()
    )
    layer.close()
    assert [done.pack_bytes for done in optimize_image(store.layout, image)] == [0]


def test_reads_less_for_a_small_file(store: ImageStore, image: Image) -> None:
    optimize_image(store.layout, image)
    layer = store.layer(image.diff_ids[0])
    lengths = [checkpoint.length for checkpoint in layer.iter_checkpoints()]
    layer.close()
    assert max(lengths) <= 128 << 10


def test_leaves_our_own_layers_alone(store: ImageStore, tmp_path: Path) -> None:
    tar = tmp_path / "plain.tar"
    tar.write_bytes(make_tar([("f", "f", "x")]))
    image = store.import_rootfs(tar, "plain")
    assert [done.pack_bytes for done in optimize_image(store.layout, image)] == [0]

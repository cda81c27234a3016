"""Decompression bombs: an image unpacks to as much as the limits allow, and no more."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tracemalloc
import zlib
from pathlib import Path

import pytest
import zstandard

from rootlay.store.codec.zstdframes import decompress_frames
from rootlay.store.model import limits
from rootlay.store.model.errors import TooLarge
from rootlay.store.model.limits import Budget, Limits
from rootlay.store.store import ImageStore
from tests.support.archives.make import make_config, make_tar

SMALL = Limits(size_bytes=1 << 20, entries=100, ratio=100)
ZEROS = make_tar([("zeros", "f", bytes(4 << 20))])
PACKERS = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}


def opened(tmp_path: Path, wanted: Limits) -> ImageStore:
    return ImageStore.open(tmp_path / "store", limits=wanted)


def left(store: ImageStore) -> list[str]:
    """What is in the store but for its own fixed files."""
    found = (path for path in store.root.rglob("*") if path.is_file() and path.parent.name != "locks")
    return sorted(path.name for path in found if path.name not in ("index.json", "oci-layout"))


@pytest.mark.parametrize("packer", PACKERS)
def test_layer_that_unpacks_to_too_much_is_refused(tmp_path: Path, packer: str) -> None:
    store = opened(tmp_path, SMALL)
    bomb = tmp_path / "bomb.tar"
    bomb.write_bytes(PACKERS[packer](ZEROS))
    with pytest.raises(TooLarge, match=r"bomb\.tar.*more than 1048576 bytes.*--max-size"):
        store.import_rootfs(bomb, "bomb")
    assert left(store) == []


def test_layers_of_one_image_share_the_limit(tmp_path: Path) -> None:
    tars = [make_tar([(f"part{number}", "f", bytes(400_000))]) for number in range(3)]
    config = make_config(tars)
    members = [("config.json", "f", config), ("manifest.json", "f", _manifest(len(tars)))]
    members += [(f"{number}.tar", "f", tar) for number, tar in enumerate(tars)]
    archive = tmp_path / "image.tar"
    archive.write_bytes(make_tar(members))
    store = opened(tmp_path, SMALL)
    with pytest.raises(TooLarge, match="--max-size"):
        store.load(archive)
    assert left(store) == []
    assert ImageStore.open(store.root, limits=Limits(size_bytes=2 << 20)).load(archive)


def _manifest(layers: int) -> bytes:
    names = ", ".join(f'"{number}.tar"' for number in range(layers))
    return f'[{{"Config": "config.json", "RepoTags": ["app:1"], "Layers": [{names}]}}]'.encode()


@pytest.mark.parametrize("packer", ["gzip", "zstd", "xz", "bzip2"])
def test_compressed_archive_is_not_spooled_beyond_the_limit(tmp_path: Path, packer: str) -> None:
    archive = tmp_path / "image.tar"
    archive.write_bytes(PACKERS[packer](ZEROS))
    store = opened(tmp_path, SMALL)
    with pytest.raises(TooLarge, match="--max-size"):
        store.load(archive)
    assert left(store) == []


def test_too_many_entries_are_refused(tmp_path: Path) -> None:
    many = tmp_path / "many.tar"
    many.write_bytes(make_tar([(f"f{number}", "f", "") for number in range(101)]))
    store = opened(tmp_path, Limits(entries=100))
    with pytest.raises(TooLarge, match=r"more than 100 entries.*--max-entries"):
        store.import_rootfs(many, "many")
    assert left(store) == []
    ImageStore.open(store.root, limits=Limits(entries=101)).import_rootfs(many, "many")


def test_ratio_is_refused_above_the_free_size_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = tmp_path / "bomb.tar"
    bomb.write_bytes(PACKERS["zstd"](ZEROS))
    store = opened(tmp_path, Limits(ratio=100))
    store.import_rootfs(bomb, "small-enough")
    monkeypatch.setattr(limits, "RATIO_FREE_BYTES", 1 << 20)
    with pytest.raises(TooLarge, match=r"more than 100 times its size.*--max-ratio"):
        store.import_rootfs(bomb, "bomb")


def test_concatenated_members_do_not_reset_the_count(tmp_path: Path) -> None:
    part = gzip.compress(bytes(600_000))
    bomb = tmp_path / "bomb.tar.gz"
    bomb.write_bytes(gzip.compress(make_tar([("a", "f", "a")])[:1024]) + part * 3)
    with pytest.raises(TooLarge):
        opened(tmp_path, SMALL).import_rootfs(bomb, "bomb")


def test_real_images_are_far_below_the_defaults() -> None:
    budget = Budget(Limits())
    budget.take_bytes(500 << 30, "image")
    budget.take_entries(9_000_000, "image")
    budget.check_ratio(1 << 20, limits.RATIO_FREE_BYTES, "zeros")


def test_largest_gzip_ratio_is_below_the_default() -> None:
    size = 64 << 20
    compressor = zlib.compressobj(9)
    packed = sum(len(compressor.compress(bytes(1 << 20))) for _ in range(size >> 20)) + len(compressor.flush())
    assert size / packed < Limits().ratio


@pytest.mark.parametrize("frames", [1, 3])
def test_a_segment_decompresses_to_its_length_and_no_more(frames: int) -> None:
    """A frame of a few kilobytes can hold gigabytes, and the length of a segment is what the blob's author says."""
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 26)) * frames
    tracemalloc.start()
    assert decompress_frames(bomb, 1000) == bytes(1000)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_what_comes_after_a_frame_s_end_belongs_to_a_segment() -> None:
    parts = [bytes([number]) * 5000 for number in range(4)]
    skippable = b"\x50\x2a\x4d\x18\x04\0\0\0rest"
    data = skippable + skippable.join(map(zstandard.ZstdCompressor().compress, parts)) + skippable
    assert decompress_frames(data, 20_000) == b"".join(parts)
    assert decompress_frames(data, 30_000) == b"".join(parts)

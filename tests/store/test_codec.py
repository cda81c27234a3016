"""Compressed layers: recognised, read in one pass, read again at random, damage noticed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import zstandard

from rootlay.store.codec import codec
from rootlay.store.codec.bytestream import ByteStream
from rootlay.store.codec.codec import Compression, open_codec, sniff
from rootlay.store.codec.content import SegmentReader
from rootlay.store.codec.segment import CheckpointTable
from rootlay.store.codec.zstdframes import FrameWriter
from rootlay.store.model.access import Access
from rootlay.store.model.errors import CorruptStore, NotAnArchive, RootlayError, TruncatedArchive, UnsupportedMedia


def _noise(count: int, seed: int = 1) -> bytes:
    """Text-like bytes: they compress, but not away."""
    rng = random.Random(seed)
    words = [rng.randbytes(rng.randint(2, 12)) for _ in range(300)]
    return b"".join(rng.choices(words, k=count // 5 + 100))[:count]


DATA = _noise(5_000_000)


def _pieces(blob: bytes, size: int) -> Iterator[bytes]:
    return (blob[i : i + size] for i in range(0, len(blob), size))


def _gzip_of_blocks(data: bytes, level: int, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> bytes:
    """gzip with a full flush now and then: boundaries on bytes, windows that matter in between."""
    out = zlib.compressobj(level, zlib.DEFLATED, 31, 8, strategy)
    parts: list[bytes] = []
    for piece in _pieces(data, 200_000):
        parts += (out.compress(piece), out.flush(zlib.Z_SYNC_FLUSH))
    return b"".join((*parts, out.flush()))


def _framed(data: bytes) -> bytes:
    writer = FrameWriter(1)
    return b"".join([piece for part in _pieces(data, 70_001) for piece in writer.write(part)] + list(writer.finish()))


BLOBS: dict[str, tuple[Compression, Callable[[], bytes]]] = {
    "plain": (Compression.NONE, lambda: DATA),
    "gzip -1": (Compression.GZIP, lambda: gzip.compress(DATA, 1)),
    "gzip -6": (Compression.GZIP, lambda: gzip.compress(DATA, 6)),
    "gzip stored": (Compression.GZIP, lambda: gzip.compress(DATA, 0)),
    "gzip fixed": (Compression.GZIP, lambda: _gzip_of_blocks(DATA, 6, zlib.Z_FIXED)),
    "gzip flushed": (Compression.GZIP, lambda: _gzip_of_blocks(DATA, 6)),
    "gzip members": (Compression.GZIP, lambda: b"".join(gzip.compress(p) for p in _pieces(DATA, 65_000))),
    "gzip tiny members": (Compression.GZIP, lambda: b"".join(gzip.compress(p) for p in _pieces(DATA[:200_000], 100))),
    "gzip long members": (Compression.GZIP, lambda: b"".join(gzip.compress(p) for p in _pieces(DATA, 2_500_000))),
    "gzip garbage": (Compression.GZIP, lambda: gzip.compress(DATA) + bytes(512) + b"garbage"),
    "gzip empty member": (Compression.GZIP, lambda: gzip.compress(b"") + gzip.compress(DATA) + gzip.compress(b"")),
    "zstd single": (Compression.ZSTD, lambda: zstandard.compress(DATA)),
    "zstd ours": (Compression.ZSTD, lambda: _framed(DATA)),
    "zstd skippable first": (Compression.ZSTD, lambda: b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + _framed(DATA)),
    "zstd tiny frames": (
        Compression.ZSTD,
        lambda: b"".join(zstandard.compress(p) for p in _pieces(DATA[:500_000], 1000)),
    ),
    "xz": (Compression.XZ, lambda: lzma.compress(DATA[:1_000_000], preset=0)),
    "xz streams": (
        Compression.XZ,
        lambda: b"".join(lzma.compress(p, preset=0) + bytes(4) for p in _pieces(DATA[:500_000], 100_000)),
    ),
    "bzip2": (Compression.BZIP2, lambda: bz2.compress(DATA[:500_000])),
}  # fmt: skip


@cache
def _blob(name: str) -> bytes:
    return BLOBS[name][1]()


def _expected(name: str) -> bytes:
    lengths = {
        "xz": 1_000_000,
        "xz streams": 500_000,
        "bzip2": 500_000,
        "gzip tiny members": 200_000,
        "zstd tiny frames": 500_000,
    }
    return DATA[: lengths.get(name, len(DATA))]


@pytest.mark.parametrize("name", BLOBS)
@pytest.mark.parametrize("size", [1 << 18, 7_001])
def test_blobs_are_decompressed(name: str, size: int) -> None:
    compression, blob = BLOBS[name][0], _blob(name)
    decoder = open_codec(_pieces(blob, size), name)
    assert decoder.compression is compression
    assert b"".join(decoder.chunks) == _expected(name)


@pytest.mark.parametrize(
    "name", [name for name, (c, _) in BLOBS.items() if c not in (Compression.XZ, Compression.BZIP2)]
)
def test_any_part_is_read_again(name: str, tmp_path: Path) -> None:
    blob = _blob(name)
    expected = _expected(name)
    decoder = open_codec(_pieces(blob, 50_000), name)
    for _ in decoder.chunks:
        pass
    assert decoder.log is not None
    assert decoder.access is not None
    checkpoints = decoder.log.finish()
    assert sum(c.length for c in checkpoints) == len(expected)
    (tmp_path / "blob").write_bytes(blob)
    reader = SegmentReader(tmp_path / "blob", decoder.access, checkpoints)
    rng = random.Random(2)
    for offset in [0, len(expected) - 1, *(rng.randrange(len(expected)) for _ in range(40))]:
        count = rng.randrange(1, 200_000)
        part = bytes(reader.read_some(offset, count))
        assert part
        assert part == expected[offset : offset + len(part)]
    reader.close()


@pytest.mark.parametrize("scratch", ["file", "missing"])
def test_windows_in_a_file_or_looked_up_are_those_in_memory(
    scratch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = _blob("gzip -1")
    (tmp_path / "file").mkdir()
    monkeypatch.setattr("rootlay.store.codec.segment._HELD_BYTES", 3000)
    tables = []
    for place in (None, tmp_path / scratch):
        decoder = open_codec(_pieces(blob, 50_000), "blob", place)
        for _ in decoder.chunks:
            pass
        assert decoder.log is not None
        tables.append(decoder.log.finish())
    held, spilled = map(list, tables)
    assert sum(len(checkpoint.window) for checkpoint in held) > 10_000
    assert spilled == held
    windows = {checkpoint.tar_offset: checkpoint.window for checkpoint in held}
    assert list(CheckpointTable(held, windows.__getitem__)) == held


def test_gzip_gets_checkpoints_about_every_mebibyte() -> None:
    for name in ("gzip -1", "gzip -6", "gzip stored", "gzip fixed", "gzip flushed", "gzip members"):
        decoder = open_codec(_pieces(_blob(name), 50_000), name)
        for _ in decoder.chunks:
            pass
        assert decoder.log is not None
        assert len(decoder.log.finish()) >= 2, name


@pytest.mark.parametrize("name", BLOBS)
def test_a_blob_that_ends_early_is_truncated(name: str) -> None:
    compression, blob = BLOBS[name][0], _blob(name)
    if compression is Compression.NONE or name in ("gzip garbage", "xz streams"):
        return
    for cut in (len(blob) // 2 + 3, 40):
        with pytest.raises(RootlayError) as caught:
            for _ in open_codec(_pieces(blob[:cut], 50_000), name).chunks:
                pass
        assert isinstance(caught.value, TruncatedArchive), name


@pytest.mark.parametrize("name", ["gzip -6", "zstd single", "zstd ours", "xz", "bzip2"])
def test_a_flipped_bit_is_noticed(name: str) -> None:
    blob = _blob(name)
    damaged = bytearray(blob)
    damaged[len(blob) // 2] ^= 4
    try:
        out = b"".join(open_codec(_pieces(bytes(damaged), 50_000), name).chunks)
    except (NotAnArchive, TruncatedArchive):
        return
    # zstd writes no checksum unless asked: then it is the digest that tells.
    assert name == "zstd single"
    assert out != DATA


@pytest.mark.parametrize("name", ["plain", "gzip -6", "gzip members", "zstd ours"])
def test_damage_in_the_store_is_noticed_when_read(name: str, tmp_path: Path) -> None:
    blob = _blob(name)
    decoder = open_codec(_pieces(blob, 50_000), name)
    for _ in decoder.chunks:
        pass
    assert decoder.log is not None
    assert decoder.access is not None
    checkpoints = decoder.log.finish()
    rng = random.Random(3)
    for _ in range(30):
        damaged = bytearray(blob)
        at = rng.randrange(checkpoints[0].blob_offset, len(blob) - 40)
        damaged[at] ^= 1 << rng.randrange(8)
        (tmp_path / "blob").write_bytes(damaged)
        reader = SegmentReader(tmp_path / "blob", decoder.access, checkpoints)
        wrong = 0
        for checkpoint in checkpoints:
            try:
                part = bytes(reader.read_some(checkpoint.tar_offset, checkpoint.length))
            except CorruptStore:
                wrong += 1
            else:
                assert part == DATA[checkpoint.tar_offset :][: len(part)]
        assert wrong >= 1 or name == "gzip members"  # a member's header and trailer are not read again
        reader.close()


def test_our_frames_read_as_one_stream() -> None:
    blob = _framed(DATA)
    out = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(blob), read_across_frames=True).read()
    assert out == DATA
    assert blob[-4:] == (0x8F92EAB1).to_bytes(4, "little")


def test_our_frames_are_the_same_however_they_are_fed() -> None:
    writer = FrameWriter(1)
    assert b"".join([*writer.write(DATA), *writer.finish()]) == _framed(DATA)


def test_a_bomb_comes_in_small_pieces() -> None:
    zeros = bytes(50_000_000)
    for blob in (
        gzip.compress(zeros, 9),
        zstandard.compress(zeros, 19),
        bz2.compress(zeros),
        lzma.compress(zeros, preset=0),
    ):
        sizes = [len(chunk) for chunk in open_codec([blob], "bomb").chunks]
        assert sum(sizes) == len(zeros)
        assert max(sizes) <= 1 << 20


def test_without_a_usable_libz_gzip_has_no_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "load", lambda: None)
    decoder = open_codec(_pieces(_blob("gzip members"), 50_000), "x")
    assert b"".join(decoder.chunks) == DATA
    assert decoder.access is None


@pytest.mark.parametrize("head", [b"PK\x03\x04", b"\x04\x22\x4d\x18", b"hsqs", b"070701"])
def test_formats_that_we_know_but_do_not_read_are_named(head: bytes) -> None:
    with pytest.raises(UnsupportedMedia):
        sniff(head + bytes(100), "x")


def test_streams_are_pulled_in_any_chunking() -> None:
    stream = ByteStream(_pieces(DATA[:10_000], 7))
    assert stream.take(10) == DATA[:10]
    assert stream.skip(1000) == 1000
    assert stream.take(0) == b""
    assert stream.take(100) == DATA[1010:1110]
    assert stream.offset == 1110
    assert b"".join(stream.iter_rest()) == DATA[1110:10_000]
    assert stream.skip(5) == 0


def test_access_names_are_those_of_the_format() -> None:
    assert {access.value for access in Access} == {"tar", "gzip", "zstd", "pack", "lazy"}


def test_what_follows_the_last_frame_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """zstd:chunked has its table of contents there, tens of MB where there are many files."""
    frames = FrameWriter(1)
    tar = os.urandom(1_000_000)
    blob = b"".join([*frames.write(tar), *frames.finish()])
    blob += (0x184D2A50).to_bytes(4, "little") + (20_000_000).to_bytes(4, "little") + bytes(20_000_000)
    (tmp_path / "blob").write_bytes(blob)
    counts = []
    real = os.pread

    def pread(fd: int, count: int, offset: int) -> bytes:
        counts.append(count)
        return real(fd, count, offset)

    reader = SegmentReader(tmp_path / "blob", Access.ZSTD, frames.log.finish())
    monkeypatch.setattr(os, "pread", pread)
    at = 0
    while at < len(tar):
        piece = bytes(reader.read_some(at, 1 << 20))
        assert tar[at : at + len(piece)] == piece
        at += len(piece)
    reader.close()
    assert sum(counts) < 5_000_000

"""Damaged and hostile archives: whatever the bytes are, it is a RootlayError or a sound layer, never anything else."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tarfile

import pytest
import zstandard

from rootlay.store.codec.bytestream import ByteStream
from rootlay.store.codec.codec import open_codec
from rootlay.store.layer.tree import LayerTree
from rootlay.store.model.entry import Entry, EntryType
from rootlay.store.model.errors import RootlayError
from rootlay.store.tar.reader import TarReader
from rootlay.store.tar.writer import encode_entry, padding
from tests.support.archives.make import make_tar, read_tree, tree_paths


def _rich_tar() -> bytes:
    """A little of everything that the format has."""
    sparse = Entry(EntryType.FILE, size=10_000, sparse=((100, 5), (9000, 1000)))
    header, count = encode_entry(b"sparse", sparse)
    xattrs, _ = encode_entry(b"x" * 200, Entry(EntryType.DIRECTORY, xattrs=((b"user.a", b"v"),), mtime_ns=-5))
    pax = make_tar([("a" * 150, "f", "long"), ("l", "l", "t" * 150), ("h", "h", "l"), ("d/.wh.x", "f", "")])
    end = pax.rindex(b".wh.x") // 512 * 512 + 512
    gnu = make_tar([("g" * 150, "f", "gnu"), ("c", "c", (1, 3))], tarfile.GNU_FORMAT)
    return b"".join([header, bytes(count), padding(count), xattrs, pax[:end], gnu])


_TAR = _rich_tar()


def _fix_checksums(data: bytearray) -> None:
    """Make damage get past the checksums."""
    for at in range(0, len(data) - 511, 512):
        if data[at + 257 : at + 262] == b"ustar":
            data[at + 148 : at + 156] = b" " * 8
            data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])


def _damage(data: bytes, rng: random.Random) -> bytearray:
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out))
        kind = rng.choices(range(4), (10, 10, 1, 1))[0]
        if kind == 0:
            out[at] = rng.randrange(256)
        elif kind == 1:
            out[at] = rng.choice(b"\0\xff0179=/. \n-gxLKS5")
        elif kind == 2:
            out[at : at + rng.randint(1, 600)] = b""
        else:
            out[at:at] = rng.randbytes(rng.randint(1, 20))
        if not out:
            break
    return out


@pytest.mark.parametrize("seed", range(8))
def test_damaged_tars(seed: int) -> None:
    rng = random.Random(seed)
    sound = 0
    for _ in range(400):
        data = _damage(_TAR, rng)
        _fix_checksums(data)
        tree = LayerTree()
        try:
            for name, entry in TarReader(ByteStream([bytes(data)]), "fuzz"):
                tree.add(name, entry)
        except RootlayError:
            continue
        sound += 1
        for path, entry in tree_paths(tree).items():
            assert b".." not in path.split(b"/")
            assert Entry.unpack(entry.pack()) == entry
            assert entry.size >= 0
    assert sound > 20


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress, bz2.compress, lzma.compress])
def test_damaged_streams(compress: object) -> None:
    assert callable(compress)
    blob = compress(_TAR * 3)
    rng = random.Random(7)
    for _ in range(300):
        try:
            for _ in open_codec([bytes(_damage(blob, rng))], "fuzz").chunks:
                pass
        except RootlayError:
            continue


def test_metadata_without_end_is_refused() -> None:
    big = Entry(EntryType.FILE, xattrs=((b"user.a", bytes(60_000)),))
    tree = LayerTree(payload_bytes_max=1_000_000)
    for i in range(16):
        tree.add(b"%d" % i, big)
    with pytest.raises(RootlayError, match="metadata"):
        tree.add(b"more", big)


def test_the_undamaged_archive_is_sound() -> None:
    assert len(read_tree(_TAR)) == 10
    with tarfile.open(fileobj=io.BytesIO(_TAR)) as tar:
        assert len(tar.getmembers()) == 8

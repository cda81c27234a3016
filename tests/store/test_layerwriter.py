"""Layers that we write: read back by ourselves, by tarfile, by GNU tar; the same bytes every time."""

from __future__ import annotations

import hashlib
import io
import os
import random
import subprocess
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rootlay.store.layer.ingest import LayerSource, ingest_layer
from rootlay.store.layer.layer import Layer
from rootlay.store.layer.writer import LayerWriter, WrittenLayer
from rootlay.store.model.entry import Entry, EntryType
from rootlay.store.model.errors import UnsafePath
from rootlay.store.model.value import replace
from rootlay.store.store import ImageStore
from tests.support.archives.make import read_tar, read_tree, snapshot

Item = tuple[bytes, Entry, bytes]

_NAME = st.binary(min_size=1, max_size=12).filter(lambda n: b"/" not in n and b"\0" not in n and n not in (b".", b".."))
_NAME = _NAME.filter(lambda n: not n.startswith(b".wh."))
_LONG = st.integers(90, 255).map(lambda n: b"L" * n)
_PATH = st.lists(_NAME | _LONG, min_size=1, max_size=4).map(b"/".join)
_TARGET = st.binary(min_size=1, max_size=300).filter(lambda target: b"\0" not in target)
_XATTRS = st.dictionaries(
    st.sampled_from([b"user.a", b"user.\xff", b"security.capability", b"user.a=b%"]), st.binary(max_size=40), max_size=2
).map(lambda d: tuple(sorted(d.items())))


@st.composite
def _items(draw: st.DrawFn) -> list[Item]:
    """Files, links and devices under distinct paths, none below another."""
    found: list[Item] = []
    for path in draw(st.lists(_PATH, max_size=6, unique=True)):
        if any((path + b"/").startswith(p + b"/") or (p + b"/").startswith(path + b"/") for p, _, _ in found):
            continue
        kind = draw(st.sampled_from([EntryType.FILE, EntryType.SYMLINK, EntryType.DIRECTORY, EntryType.CHAR_DEVICE,
                                     EntryType.BLOCK_DEVICE, EntryType.FIFO]))  # fmt: skip
        content = draw(st.binary(max_size=2000)) if kind is EntryType.FILE else b""
        device = kind in (EntryType.CHAR_DEVICE, EntryType.BLOCK_DEVICE)
        number = st.integers(0, 2**32 - 1) if device else st.just(0)
        entry = Entry(
            kind, mode=draw(st.integers(0, 0o7777)), uid=draw(st.integers(0, 2**32 - 1)),
            gid=draw(st.integers(0, 2**32 - 1)), size=len(content), mtime_ns=draw(st.integers(-(2**62), 2**62)),
            major=draw(number), minor=draw(number),
            link=draw(_TARGET) if kind is EntryType.SYMLINK else b"",
            xattrs=draw(_XATTRS),
        )  # fmt: skip
        found.append((path, entry, content))
    return found


def write(store: ImageStore, items: list[Item]) -> WrittenLayer:
    with LayerWriter(store.layout) as writer:
        for path, entry, content in items:
            writer.add(path, entry, io.BytesIO(content) if entry.type is EntryType.FILE else None)
        return writer.finish()


def tar_of(store: ImageStore, written: WrittenLayer) -> bytes:
    """The tar behind a blob, by an ordinary zstd."""
    blob = store.layout.blob_path(written.descriptor.digest).read_bytes()
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(blob), read_across_frames=True).read()


def bare(entry: Entry) -> Entry:
    """What was given, without what the index adds."""
    return replace(entry, id=0, ino=0, nlink=1, offset=0)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_items())
def test_what_is_written_is_read_back(store: ImageStore, items: list[Item]) -> None:
    written = write(store, items)
    tar = tar_of(store, written)
    assert hashlib.sha256(tar).hexdigest() == written.diff_id.hex
    found = {path: bare(entry) for path, entry in read_tree(tar).items() if not entry.implicit}
    assert found == {path: entry for path, entry, _ in items}
    layer = store.layer(written.diff_id)
    for path, entry, content in items:
        stored = layer.find_path(path)
        assert stored is not None
        assert bare(stored) == entry
        if entry.type is EntryType.FILE:
            with layer.open_content(stored) as stream:
                assert stream.read() == content
    assert b"".join(layer.iter_tar()) == tar
    layer.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_items())
def test_tarfile_reads_what_is_written(store: ImageStore, items: list[Item]) -> None:
    tar = tar_of(store, write(store, items))
    with tarfile.open(fileobj=io.BytesIO(tar), encoding="utf-8", errors="surrogateescape") as archive:
        members = archive.getmembers()
        assert len(members) == len(items)
        for member, (path, entry, content) in zip(members, items, strict=True):
            assert member.name.encode("utf-8", "surrogateescape") == path
            assert (member.mode, member.uid, member.gid) == (entry.mode, entry.uid, entry.gid)
            assert member.mtime == pytest.approx(entry.mtime_ns / 1e9, abs=1e-5)
            if entry.type is EntryType.FILE:
                stream = archive.extractfile(member)
                assert stream is not None
                assert stream.read() == content
            if entry.type is EntryType.SYMLINK:
                assert member.linkname.encode("utf-8", "surrogateescape") == entry.link


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_items())
def test_the_writers_index_is_that_of_its_blob(store: ImageStore, tmp_path: Path, items: list[Item]) -> None:
    written = write(store, items)
    other = ImageStore.open(tmp_path / os.urandom(4).hex())
    blob = store.layout.blob_path(written.descriptor.digest).read_bytes()
    ingest_layer(other.layout, LayerSource("blob", [blob], written.descriptor, written.diff_id))
    layers = [Layer(s.layout.layer_directory(written.diff_id), s.layout.blobs) for s in (store, other)]
    assert list(layers[0].iter_raw()) == list(layers[1].iter_raw())
    assert layers[0].meta == layers[1].meta
    for layer in layers:
        layer.close()


def _rich_items() -> list[Item]:
    f = Entry(EntryType.FILE, mode=0o644, size=5, mtime_ns=1_700_000_000_000_000_000)
    return [
        (b"", Entry(EntryType.DIRECTORY, mode=0o755, opaque=True), b""),
        (b"d", Entry(EntryType.DIRECTORY, mode=0o1777, opaque=True), b""),
        (b"d/file", f, b"hello"),
        (b"d/link", Entry(EntryType.HARDLINK, link=b"d/file"), b""),
        (b"d/lower", Entry(EntryType.HARDLINK, link=b"below/x"), b""),
        (b"gone", Entry(EntryType.WHITEOUT), b""),
        (b"d/" + b"n" * 251, Entry(EntryType.WHITEOUT), b""),
        (b"caf\xe9" * 40, replace(f, xattrs=((b"user.x", b"\0\xff\n"),), mtime_ns=-1_500_000_000), b"hello"),
    ]


def test_layers_are_the_same_bytes_every_time(store: ImageStore) -> None:
    first = write(store, _rich_items())
    assert write(store, _rich_items()) == first


def test_whiteouts_opaque_directories_and_links_are_written_as_oci_says(store: ImageStore) -> None:
    tar = tar_of(store, write(store, _rich_items()))
    names = [name for name, _ in read_tar(tar)]
    assert names[:4] == [b"./", b".wh..wh..opq", b"d/", b"d/.wh..wh..opq"]
    assert b".wh.gone" in names
    tree = read_tree(tar)
    assert tree[b""].opaque
    assert tree[b"d"].opaque
    assert tree[b"gone"].type is EntryType.WHITEOUT
    assert tree[b"d/link"].ino == tree[b"d/file"].id
    assert (tree[b"d/lower"].type, tree[b"d/lower"].link) == (EntryType.HARDLINK, b"below/x")
    assert tree[b"caf\xe9" * 40].xattrs == ((b"user.x", b"\0\xff\n"),)


def test_gnu_tar_reads_what_is_written(store: ImageStore, tool: Callable[[str], str]) -> None:
    tar = tar_of(store, write(store, _rich_items()))
    done = subprocess.run(
        [tool("tar"), "-tf", "-", "--quoting-style=literal"], input=tar, capture_output=True, check=True
    )
    assert b"caf\xe9" * 40 in done.stdout.split(b"\n")
    assert b"d/file" in done.stdout.split(b"\n")


def test_sparse_files_stay_sparse(store: ImageStore, tmp_path: Path, tool: Callable[[str], str]) -> None:
    size = 50_000_000
    with open(tmp_path / "sparse", "w+b") as stream:
        stream.truncate(size)
        stream.seek(20_000_000)
        stream.write(b"middle")
        stream.seek(0)
        entry = Entry(EntryType.FILE, mode=0o644, size=size, sparse=((20_000_000, 6),))
        with LayerWriter(store.layout) as writer:
            writer.add(b"sparse", entry, stream)
            written = writer.finish()
    tar = tar_of(store, written)
    assert len(tar) < 10_000
    layer = store.layer(written.diff_id)
    stored = layer.find_path(b"sparse")
    assert stored is not None
    with layer.open_content(stored) as stream:
        stream.seek(19_999_990)
        assert stream.read(30) == bytes(10) + b"middle" + bytes(14)
        assert stream.seek(0, io.SEEK_END) == size
    layer.close()
    (tmp_path / "out").mkdir()
    subprocess.run([tool("tar"), "-C", tmp_path / "out", "-xf", "-"], input=tar, check=True)
    assert (tmp_path / "out/sparse").read_bytes() == (tmp_path / "sparse").read_bytes()


@pytest.mark.parametrize("path", [b"/a", b"a/", b"a//b", b"../a", b".wh.a", b"d/.wh..wh..opq"])
def test_paths_that_are_not_canonical_are_refused(store: ImageStore, path: bytes) -> None:
    with LayerWriter(store.layout) as writer, pytest.raises(UnsafePath):
        writer.add(path, Entry(EntryType.FILE))


def test_an_unfinished_layer_leaves_nothing(unchanged: ImageStore) -> None:
    with LayerWriter(unchanged.layout) as writer:
        writer.add(b"a", Entry(EntryType.FILE, size=3), io.BytesIO(b"abc"))
    with pytest.raises(EOFError), LayerWriter(unchanged.layout) as writer:
        writer.add(b"a", Entry(EntryType.FILE, size=9), io.BytesIO(b"abc"))


def test_content_is_read_at_random_and_by_many(store: ImageStore) -> None:
    data = b"".join(b"%08d" % i for i in range(400_000))
    written = write(store, [(b"big", Entry(EntryType.FILE, size=len(data)), data)])
    layer = store.layer(written.diff_id)
    entry = layer.find_path(b"big")
    assert entry is not None
    with layer.open_content(entry) as one, layer.open_content(entry) as two:
        one.seek(1_600_000)
        two.seek(-16, io.SEEK_END)
        assert one.read(8) == b"00200000"
        assert two.read() == data[-16:]
        assert one.read(8) == b"00200001"
    layer.close()


def test_threads_read_one_layer_at_once(store: ImageStore) -> None:
    items = [(b"f%d" % i, Entry(EntryType.FILE, size=60_000), bytes([i]) * 60_000) for i in range(60)]
    layer = store.layer(write(store, items).diff_id)

    def read(seed: int) -> bool:
        rng = random.Random(seed)
        for _ in range(100):
            path, _, content = rng.choice(items)
            entry = layer.find_path(path)
            assert entry is not None
            start = rng.randrange(60_000)
            with layer.open_content(entry) as stream:
                stream.seek(start)
                assert stream.read(5000) == content[start : start + 5000]
        return len(list(layer.iter_children(1))) == 60

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(8)))
    layer.close()


def test_a_finished_layer_is_a_blob_and_an_index(store: ImageStore) -> None:
    before = snapshot(store.root)
    write(store, _rich_items())
    added = snapshot(store.root).keys() - before.keys()
    assert {name.split("/")[0] for name in added} == {"blobs", "layers"}

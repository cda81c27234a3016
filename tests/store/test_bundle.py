"""Bundles against the store that they were made from: the same tree, the same content, the same image."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from rootlay.store.bundle.attach import attach, link_path
from rootlay.store.bundle.format import ALIGNMENT, HEADER_BYTES, Bundle, Table, is_bundle
from rootlay.store.bundle.writer import write_bundle
from rootlay.store.model.digest import Digest
from rootlay.store.model.entry import EntryType
from rootlay.store.model.errors import CorruptStore, DigestMismatch, RootlayError, TruncatedArchive
from rootlay.store.model.image import Image
from rootlay.store.model.value import replace
from rootlay.store.store import ImageStore, open_lower
from tests.support.archives.make import docker_archive, make_tar

BIG = bytes(range(256)) * 9000  # several frames


def sparse_tar(path: Path, scratch: Path) -> None:
    """A tar of one sparse file, by GNU tar."""
    import subprocess

    with open(scratch / "sparse", "wb") as file:
        file.seek(3 << 20)
        file.write(b"end")
        file.truncate(5 << 20)
    subprocess.run(["tar", "-C", scratch, "-S", "-cf", path, "sparse"], check=True)


@pytest.fixture
def image(store: ImageStore, tmp_path: Path) -> Image:
    """Three layers: whiteouts, an opaque directory, a hard link into a lower layer, xattrs, a big file, names."""
    base = make_tar(
        [
            ("d", "d", ""),
            ("d/a", "f", "a"),
            ("d/b", "f", "b"),
            ("big", "f", BIG),
            ("gone", "f", "gone"),
            ("link", "l", "d/a"),
            ("op", "d", ""),
            ("op/hidden", "f", "h"),
            ("fifo", "p", ""),
        ]
    )
    middle = make_tar([(".wh.gone", "f", ""), ("op/.wh..wh..opq", "f", ""), ("op/new", "f", "n"), ("hard", "h", "d/b")])
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        entry = tarfile.TarInfo("x\udcff")
        entry.pax_headers = {"SCHILY.xattr.user.k": "v"}
        entry.size, entry.mode, entry.uid, entry.mtime = 3, 0o4755, 77, 12.25
        tar.addfile(entry, io.BytesIO(b"top"))
    archive = tmp_path / "archive.tar"
    archive.write_bytes(docker_archive([([base, middle, buffer.getvalue()], ["three:latest"])]))
    return store.load(archive)[0]


@pytest.fixture
def bundle(store: ImageStore, image: Image, tmp_path: Path) -> Path:
    path = tmp_path / "three.rlay"
    write_bundle(store, image, path)
    return path


def tree(root: Path, chain: Digest) -> dict[bytes, tuple[object, ...]]:
    """Path -> everything that can be seen, and the content of files."""
    found: dict[bytes, tuple[object, ...]] = {}
    view, hydrator = open_lower(root, str(chain))
    with hydrator:
        for path, node in view.iter_walk():
            content = None
            if node.type is EntryType.FILE:
                with hydrator.open(node) as stream:
                    content = stream.read()
            found[path] = (replace_id(node), content)
    view.close()
    return found


def replace_id(node: object) -> tuple[object, ...]:
    names = (
        "type",
        "mode",
        "uid",
        "gid",
        "size",
        "mtime_ns",
        "nlink",
        "ino",
        "layer",
        "source",
        "link",
        "xattrs",
        "sparse",
    )
    return tuple(getattr(node, name) for name in names)


def test_shows_the_tree_of_the_store(store: ImageStore, image: Image, bundle: Path) -> None:
    store.prepare(image)
    with_store = tree(store.root, image.chain_id)
    attached = attach(store.root, bundle)
    attached.close()
    assert tree(store.root, attached.id) == with_store
    assert with_store[b"/big"][1] == BIG


def test_needs_no_store_but_an_empty_directory(bundle: Path, tmp_path: Path, store: ImageStore, image: Image) -> None:
    expected = tree(store.root, image.chain_id)
    shutil.rmtree(store.root)
    (tmp_path / "local" / "views").mkdir(parents=True)
    (tmp_path / "local" / "tmp").mkdir()
    attached = attach(tmp_path / "local", bundle)
    attached.close()
    assert tree(tmp_path / "local", attached.id) == expected


def test_hydrates_beside_the_layers_of_the_store(store: ImageStore, image: Image, bundle: Path) -> None:
    """A bundle's claim to a diff ID is not verified before it runs, so its trees must be its own."""
    attached = attach(store.root, bundle)
    attached.close()
    view, hydrator = open_lower(store.root, str(attached.id))
    with hydrator:
        real = hydrator.hydrate(view.find_path(b"/d/a").id)  # type: ignore[union-attr]
    view.close()
    assert real.read_bytes() == b"a"
    assert real.relative_to(store.root / "layers").parts[0] not in {d.hex for d in image.diff_ids}


def test_is_the_same_for_the_same_image(store: ImageStore, image: Image, bundle: Path, tmp_path: Path) -> None:
    again = write_bundle(store, image, tmp_path / "again.rlay")
    assert (tmp_path / "again.rlay").read_bytes() == bundle.read_bytes()
    assert again == Bundle(bundle).id


def test_loads_into_a_store_as_the_same_image(image: Image, bundle: Path, tmp_path: Path) -> None:
    other = ImageStore.open(tmp_path / "other")
    (loaded,) = other.load(bundle)
    assert (loaded.id, loaded.diff_ids, loaded.references) == (image.id, image.diff_ids, image.references)


def test_keeps_blobs_of_the_right_form_bit_for_bit(store: ImageStore, tmp_path: Path) -> None:
    tar = tmp_path / "plain.tar"
    tar.write_bytes(make_tar([("f", "f", BIG)]))
    image = store.import_rootfs(tar, "plain")  # framed by us
    write_bundle(store, image, tmp_path / "plain.rlay")
    (loaded,) = ImageStore.open(tmp_path / "other").load(tmp_path / "plain.rlay")
    assert loaded.manifest_digest == image.manifest_digest


def test_frames_gzip_layers_anew(store: ImageStore, tmp_path: Path) -> None:
    tar = tmp_path / "gz.tar.gz"
    tar.write_bytes(gzip.compress(make_tar([("f", "f", BIG)])))
    image = store.import_rootfs(tar, "gz")
    write_bundle(store, image, tmp_path / "gz.rlay")
    (loaded,) = ImageStore.open(tmp_path / "other").load(tmp_path / "gz.rlay")
    assert loaded.id == image.id
    assert loaded.manifest.layers != image.manifest.layers


def test_sparse_files(store: ImageStore, tmp_path: Path) -> None:
    sparse_tar(tmp_path / "sparse.tar", tmp_path)
    image = store.import_rootfs(tmp_path / "sparse.tar", "sparse")
    write_bundle(store, image, tmp_path / "sparse.rlay")
    attached = attach(store.root, tmp_path / "sparse.rlay")
    attached.close()
    assert tree(store.root, attached.id) == tree(store.root, image.chain_id)


def test_empty_image(store: ImageStore, tmp_path: Path) -> None:
    archive = tmp_path / "empty.tar"
    archive.write_bytes(docker_archive([([], ["empty:latest"])]))
    (image,) = store.load(archive)
    write_bundle(store, image, tmp_path / "empty.rlay")
    attached = attach(store.root, tmp_path / "empty.rlay")
    attached.close()
    assert list(tree(store.root, attached.id)) == [b"/"]


@pytest.mark.parametrize("table", ["files", "view", "contents", "segments"])
def test_damaged_table(store: ImageStore, bundle: Path, table: str) -> None:
    place = Bundle(bundle).header.tables[table]
    damage(bundle, place.offset + place.length // 2)
    with pytest.raises(CorruptStore, match=table):
        attach(store.root, bundle)
    assert not list((store.root / "views").glob("*.bundle"))


def test_damaged_header(store: ImageStore, bundle: Path) -> None:
    damage(bundle, 100)
    with pytest.raises(CorruptStore, match="header"):
        attach(store.root, bundle)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"layers": 1 << 31}, "header"),
        ({"tables": {"files": (1 << 16, 0)}}, "empty"),
        ({"tables": {"view": (1 << 40, 1 << 40)}}, "outside"),
        ({"tables": {"view": (5000, 1)}}, "outside"),
    ],
)
def test_a_header_that_lies(store: ImageStore, bundle: Path, change: dict[str, Any], match: str) -> None:
    header = Bundle(bundle).header
    tables = {name: Table(offset, length, bytes(32)) for name, (offset, length) in change.get("tables", {}).items()}
    lying = replace(header, layers=change.get("layers", header.layers), tables={**header.tables, **tables})
    with open(bundle, "r+b") as file:
        file.write(lying.pack())
    with pytest.raises(CorruptStore, match=match):
        attach(store.root, bundle)


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a": [1e999, 1]}', b'{"a": [1]}', b"[]", b'{"a": [-1, 2]}'])
def test_a_table_of_files_that_lies(store: ImageStore, bundle: Path, text: bytes) -> None:
    header = Bundle(bundle).header
    end = -(-header.file_bytes // ALIGNMENT) * ALIGNMENT
    tables = {**header.tables, "files": Table(end, len(text), hashlib.sha256(text).digest())}
    with open(bundle, "r+b") as file:
        file.write(replace(header, file_bytes=end + len(text), tables=tables).pack())
        file.seek(end)
        file.write(text)
    with pytest.raises(CorruptStore):
        Bundle(bundle).has("a")


def test_truncated(store: ImageStore, bundle: Path, tmp_path: Path) -> None:
    data = bundle.read_bytes()
    for length in (len(data) - 1, len(data) // 2, HEADER_BYTES):
        bundle.write_bytes(data[:length])
        with pytest.raises(TruncatedArchive):
            attach(store.root, bundle)
    bundle.write_bytes(data[:200])
    with pytest.raises(CorruptStore):
        attach(store.root, bundle)
    with pytest.raises(RootlayError):
        ImageStore.open(tmp_path / "other").load(bundle)


def test_damaged_content(store: ImageStore, bundle: Path, tmp_path: Path) -> None:
    damage(bundle, HEADER_BYTES + 300)
    attached = attach(store.root, bundle)
    attached.close()
    with pytest.raises((OSError, CorruptStore)):
        tree(store.root, attached.id)
    with pytest.raises(RootlayError):
        ImageStore.open(tmp_path / "other").load(bundle)


def test_content_against_the_digests(bundle: Path, tmp_path: Path) -> None:
    """A bundle whose maker fitted all checksums to false content still cannot enter a store under a false diff ID."""
    opened = Bundle(bundle)
    (name, (offset, length)), *_ = [
        (path, place) for path, place in opened_files(opened).items() if path.startswith("blobs/") and place[1] > 1000
    ]
    other = tmp_path / "other.rlay"
    data = bytearray(bundle.read_bytes())
    data[offset : offset + length] = data[offset + 1 : offset + length] + b"\0"
    other.write_bytes(data)
    with pytest.raises((DigestMismatch, RootlayError)):
        ImageStore.open(tmp_path / "other").load(other)
    assert name


def opened_files(bundle: Bundle) -> dict[str, tuple[int, int]]:
    bundle.has("index.json")
    found = bundle._files
    assert found is not None
    return found


def test_replaced_after_attaching(store: ImageStore, image: Image, bundle: Path, tmp_path: Path) -> None:
    attached = attach(store.root, bundle)
    attached.close()
    tar = tmp_path / "other.tar"
    tar.write_bytes(make_tar([("f", "f", "x")]))
    write_bundle(store, store.import_rootfs(tar, "other"), bundle)
    with pytest.raises(CorruptStore, match="not the bundle that"):
        open_lower(store.root, str(attached.id))
    bundle.unlink()
    with pytest.raises(CorruptStore, match="is missing"):
        open_lower(store.root, str(attached.id))


def test_moved(store: ImageStore, bundle: Path, tmp_path: Path) -> None:
    attach(store.root, bundle).close()
    moved = tmp_path / "moved.rlay"
    bundle.rename(moved)
    attached = attach(store.root, moved)
    attached.close()
    assert link_path(store.root, attached.id).resolve() == moved
    view, hydrator = open_lower(store.root, str(attached.id))
    hydrator.close()
    view.close()


def test_header_round_trip(bundle: Path) -> None:
    header = Bundle(bundle).header
    page = bundle.read_bytes()[:HEADER_BYTES]
    assert header.pack() == page
    assert replace(header, layers=9).pack() != page


def test_what_is_a_bundle(bundle: Path, tmp_path: Path) -> None:
    assert is_bundle(str(bundle))
    (tmp_path / "text").write_text("#!/usr/bin/env -S rootlay run --rm\n")
    assert not is_bundle(str(tmp_path / "text"))
    assert not is_bundle(str(tmp_path / "missing"))
    assert not is_bundle(str(tmp_path))


def damage(path: Path, at: int) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes((byte[0] ^ 0xFF,)))

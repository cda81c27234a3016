"""`load --link`: the layers stay in the layout that they are in."""

from __future__ import annotations

import gzip
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from rootlay.store.hydrate.hydrator import Hydrator
from rootlay.store.model.errors import CorruptStore, DigestMismatch, NotAnArchive, UnknownImage, UnsupportedMedia
from rootlay.store.model.manifest import Platform
from rootlay.store.store import ImageStore
from rootlay.store.view.build import build_view, view_path
from rootlay.store.view.view import View
from tests.support.archives.make import LayoutBuilder, make_tar, snapshot
from tests.support.archives.multi import HERE, OTHER, several


@pytest.fixture
def shared(tmp_path: Path) -> ImageStore:
    """A store with two images, which nobody may write to."""
    store = ImageStore.open(tmp_path / "shared")
    for name in ("one", "two"):
        tar = tmp_path / f"{name}.tar.gz"
        tar.write_bytes(gzip.compress(make_tar([("f", "f", name), ("g", "f", os.urandom(100_000))])))
        store.import_rootfs(tar, name)
    return store


def test_links_what_it_indexes(shared: ImageStore, store: ImageStore) -> None:
    before = snapshot(shared.root)
    (image,) = store.load(shared.root, link=True, only=["one"])
    assert image.id == shared.image("one").id
    blob = store.layout.blob_path(image.manifest.layers[0].digest)
    assert blob.is_symlink()
    assert blob.resolve().is_relative_to(shared.root)
    build_view(store, image.diff_ids)
    view = View.open(view_path(store.root, image.chain_id))
    node = view.find_path(b"/f")
    assert node is not None
    with Hydrator(store, view) as hydrator, hydrator.open(node) as content:
        assert content.read() == b"one"
    view.close()
    assert snapshot(shared.root) == before
    with pytest.raises(UnknownImage):
        store.image("two")


@pytest.mark.parametrize("which", ["this machine's", "another's", "all"])
def test_of_a_multi_platform_image(store: ImageStore, tmp_path: Path, which: str) -> None:
    layout = LayoutBuilder()
    top = several(layout)
    layout.name(top, "several:1")
    source = layout.write(tmp_path / "layout")
    before = snapshot(source)
    platform = Platform("linux", OTHER) if which == "another's" else None
    (image,) = store.load(source, link=True, platform=platform, all_platforms=which == "all")
    assert image.config.architecture == (OTHER if which == "another's" else HERE)
    links = {path.name for path in (store.root / "blobs" / "sha256").iterdir() if path.is_symlink()}
    if which == "all":
        assert image.index is not None
        assert str(image.index.digest) == top["digest"]
        # Windows' layer and config, and what the attestations say and are about, are nothing to index.
        assert len(links) > 3
        store.save(["several:1"], tmp_path / "copy", "oci-dir")
        (again,) = ImageStore.open(tmp_path / "third").load(tmp_path / "copy", all_platforms=True)
        assert again.index == image.index
    else:
        assert links == {layer.digest.hex for layer in image.manifest.layers}
    store.remove("several:1")
    assert snapshot(source) == before
    assert list((store.root / "blobs" / "sha256").iterdir()) == []


def test_a_linked_blob_of_another_system_is_verified(store: ImageStore, tmp_path: Path) -> None:
    layout = LayoutBuilder()
    layout.name(several(layout), "several:1")
    source = layout.write(tmp_path / "layout")
    store.load(source, link=True, all_platforms=True)
    linked = [path for path in (store.root / "blobs" / "sha256").iterdir() if path.is_symlink()]
    for blob in linked:
        damaged = blob.resolve()
        good = damaged.read_bytes()
        damaged.chmod(0o600)
        damaged.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        with pytest.raises((DigestMismatch, CorruptStore, NotAnArchive)):
            ImageStore.open(tmp_path / f"other-{blob.name[:8]}").load(source, link=True, all_platforms=True)
        damaged.write_bytes(good)


def test_removes_the_link_and_not_what_it_leads_to(shared: ImageStore, store: ImageStore) -> None:
    store.load(shared.root, link=True)
    before = snapshot(shared.root)
    for name in ("one", "two"):
        store.remove(name)
    assert snapshot(shared.root) == before
    assert not [path for path in (store.root / "blobs" / "sha256").iterdir() if path.is_symlink()]


def test_copies_afterwards_what_was_linked(shared: ImageStore, store: ImageStore, tmp_path: Path) -> None:
    store.load(shared.root, link=True, only=["one"])
    store.save(["one"], tmp_path / "copy", "oci-dir")
    assert not [path for path in (tmp_path / "copy").rglob("*") if path.is_symlink()]
    (again,) = ImageStore.open(tmp_path / "third").load(tmp_path / "copy")
    assert again.manifest_digest == store.image("one").manifest_digest


def test_verifies(shared: ImageStore, store: ImageStore) -> None:
    blob = shared.layout.blob_path(shared.image("one").manifest.layers[0].digest)
    data = bytearray(blob.read_bytes())
    data[-5] ^= 1
    blob.chmod(0o600)
    blob.write_bytes(data)
    with pytest.raises((DigestMismatch, CorruptStore)):
        store.load(shared.root, link=True, only=["one"])
    assert not list((store.root / "blobs" / "sha256").iterdir())


def test_does_not_link_to_itself(shared: ImageStore) -> None:
    before = snapshot(shared.root)
    with pytest.raises(UnsupportedMedia, match="the store itself"):
        shared.load(shared.root, link=True)
    assert snapshot(shared.root) == before


def test_links_to_directories_only(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "file.tar").write_bytes(make_tar([("f", "f", "x")]))
    with pytest.raises(UnsupportedMedia, match="only an OCI layout directory"):
        store.load(tmp_path / "file.tar", link=True)


def test_from_skopeos_layout(tool: object, store: ImageStore, shared: ImageStore, tmp_path: Path) -> None:
    skopeo = tool("skopeo")  # type: ignore[operator]
    layout = tmp_path / "layout"
    subprocess.run(
        [skopeo, "--insecure-policy", "copy", "-q", f"oci:{shared.root}:one:latest", f"oci:{layout}:one"], check=True
    )
    (image,) = store.load(layout, link=True)
    assert image.id == shared.image("one").id


def test_lmdb_is_not_written_on_a_shared_file_system(
    shared: ImageStore, store: ImageStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The environment that is being written is never below the store when that is on a network file system."""
    import lmdb

    import rootlay.store.disk.lmdbfile as lmdbfile

    local = tmp_path / "local"
    local.mkdir()
    opened = []
    really = lmdb.open

    def record(path: bytes, **options: Any) -> object:
        if not options.get("readonly"):
            opened.append(os.fsdecode(path))
        return really(path, **options)

    monkeypatch.setattr(tempfile, "tempdir", str(local))
    monkeypatch.setattr(lmdb, "open", record)
    monkeypatch.setattr(lmdbfile, "is_shared", lambda path: True)
    (image,) = store.load(shared.root, only=["one"])
    build_view(store, image.diff_ids)
    assert len(opened) == 2
    assert all(Path(path).is_relative_to(local) for path in opened)
    assert not list(local.iterdir())
    assert store.layer(image.diff_ids[0]).find_path(b"f") is not None

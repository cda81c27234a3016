"""`save`: what comes out is loaded again, by us and by the others."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rootlay.store.images.recording import add_image
from rootlay.store.layer.writer import LayerWriter
from rootlay.store.model.entry import Entry, EntryType
from rootlay.store.model.errors import UnknownImage, UnsupportedMedia
from rootlay.store.model.imageconfig import History
from rootlay.store.store import ImageStore
from tests.support.archives.make import make_tar

FORMATS = ["docker-archive", "oci-archive", "oci-dir"]


@pytest.fixture
def filled(store: ImageStore, tmp_path: Path) -> ImageStore:
    """A store with `app:1` (two layers) and `base:1` (its lower one)."""
    tar = tmp_path / "rootfs.tar"
    tar.write_bytes(make_tar([("etc", "d", ""), ("etc/motd", "f", "hello"), ("bin/sh", "f", "x" * 1000)], mode=0o755))
    base = store.import_rootfs(tar, "base:1")
    with LayerWriter(store.layout) as writer:
        writer.add(b"etc/motd", Entry(EntryType.WHITEOUT))
        writer.add(b"new", Entry(EntryType.FILE, mode=0o4755, size=3, mtime_ns=10**18), io.BytesIO(b"new"))
        layer = writer.finish()
    config = base.config.with_layer(layer.diff_id, History(created="2024-01-01T00:00:00Z"))
    add_image(store, config, (*base.manifest.layers, layer.descriptor), "app:1")
    return store


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_saved_is_loaded_again(filled: ImageStore, tmp_path: Path, form: str) -> None:
    filled.save(["app:1", "base:1"], tmp_path / "out", form)
    other = ImageStore.open(tmp_path / "other")
    loaded = other.load(tmp_path / "out")
    assert [image.references for image in loaded] == [("app:1",), ("base:1",)]
    for image in loaded:
        original = filled.image(image.references[0])
        assert (image.id, image.diff_ids) == (original.id, original.diff_ids)
        if form != "docker-archive":
            assert image.manifest_digest == original.manifest_digest


@pytest.mark.parametrize("form", FORMATS)
def test_saving_is_deterministic(filled: ImageStore, tmp_path: Path, form: str) -> None:
    for name in ("one", "two"):
        filled.save(["app:1"], tmp_path / name, form)

    def content(path: Path) -> dict[str, bytes]:
        files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
        return {str(p.relative_to(path)): p.read_bytes() for p in files}

    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_an_archive_goes_to_a_stream(filled: ImageStore) -> None:
    out = io.BytesIO()
    filled.save(["app:1"], out)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        manifest = tar.extractfile("manifest.json")
        assert manifest is not None
        [item] = json.load(manifest)
        assert item["RepoTags"] == ["app:1"]
        assert all(tar.getmember(layer).isreg() for layer in item["Layers"])


def test_an_image_given_by_id_has_no_name_there(filled: ImageStore, tmp_path: Path) -> None:
    filled.save([filled.image("app:1").id.hex[:12]], tmp_path / "out", "oci-dir")
    [image] = ImageStore.open(tmp_path / "other").load(tmp_path / "out")
    assert image.references == ()


def test_a_failure_leaves_no_file(filled: ImageStore, tmp_path: Path) -> None:
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(UnknownImage):
        filled.save(["app:1", "nothing"], tmp_path / "out")
    with pytest.raises(UnsupportedMedia):
        filled.save(["app:1"], tmp_path / "out", "zip")
    image = filled.image("app:1")
    blob = filled.layout.blob_path(image.manifest.layers[1].digest)
    blob.write_bytes(b"damaged")
    with pytest.raises(Exception, match="damaged"):
        filled.save(["app:1"], tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == before


@pytest.mark.parametrize("form", FORMATS)
def test_skopeo_and_umoci_read_what_is_saved(
    filled: ImageStore, tmp_path: Path, tool: Callable[[str], str], form: str
) -> None:
    skopeo, umoci = tool("skopeo"), tool("umoci")
    filled.save(["app:1"], tmp_path / "out", form)
    transport = "oci" if form == "oci-dir" else form
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "TMPDIR": str(tmp_path)}

    def run(*command: object) -> None:
        subprocess.run([str(part) for part in command], check=True, capture_output=True, env=environment)

    # umoci 0.4 does not read zstd: by way of a docker-archive skopeo makes gzip of it.
    source = f"{transport}:{tmp_path}/out:app:1"
    run(skopeo, "--insecure-policy", "--tmpdir", tmp_path, "copy", source, f"docker-archive:{tmp_path}/plain.tar:app:1")
    run(
        skopeo,
        "--insecure-policy",
        "--tmpdir",
        tmp_path,
        "copy",
        f"docker-archive:{tmp_path}/plain.tar",
        f"oci:{tmp_path}/copy:x",
    )
    rootless = [] if os.getuid() == 0 else ["--rootless"]
    run(umoci, "unpack", *rootless, "--image", f"{tmp_path}/copy:x", tmp_path / "bundle")
    root = tmp_path / "bundle/rootfs"
    found = sorted(str(p.relative_to(root)) for p in root.rglob("*"))
    assert found == ["bin", "bin/sh", "etc", "new"]
    status = (root / "new").stat()
    assert (status.st_mode & 0o7777, status.st_mtime_ns) == (0o4755, 10**18)

"""Names, IDs, removal; what a removal leaves and what it takes."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from rootlay.store.images import recording
from rootlay.store.layer.writer import LayerWriter
from rootlay.store.model.digest import Digest, chain_id
from rootlay.store.model.entry import Entry, EntryType
from rootlay.store.model.errors import AmbiguousImage, BadReference, CorruptStore, ImageInUse, UnknownImage
from rootlay.store.model.image import Image
from rootlay.store.model.imageconfig import History, ImageConfig
from rootlay.store.model.manifest import OCI_LAYER_ZSTD, REF_NAME, Descriptor
from rootlay.store.model.platform import host_platform
from rootlay.store.store import ImageStore
from tests.support.archives.make import make_config, make_tar, snapshot


def add_image(store: ImageStore, name: str | None, content: bytes, below: Image | None = None) -> Image:
    """An image with one file, on top of another one."""
    with LayerWriter(store.layout) as writer:
        writer.add(b"file", Entry(EntryType.FILE, size=len(content)), io.BytesIO(content))
        layer = writer.finish()
    base = below.config if below else ImageConfig(host_platform().os, host_platform().architecture)
    layers = below.manifest.layers if below else ()
    config = base.with_layer(layer.diff_id, History(created="2024-01-01T00:00:00Z", created_by=content.hex()))
    return recording.add_image(store, config, (*layers, layer.descriptor), name)


def test_images_are_found_by_every_kind_of_reference(store: ImageStore) -> None:
    image = add_image(store, "me/app:1", b"x")
    for text in ("me/app:1", "docker.io/me/app:1", f"me/app@{image.manifest_digest}", f"me/app:1@{image.id}",
                 str(image.id), image.id.hex, image.id.hex[:6], f"sha256:{image.id.hex[:9]}",
                 image.manifest_digest.hex):  # fmt: skip
        assert store.image(text) == image


@pytest.mark.parametrize("text", ["app", "me/app", "me/app:2", "0123456789ab", "sha256:" + "0" * 64])
def test_unknown_images_are_named(store: ImageStore, text: str) -> None:
    add_image(store, "me/app:1", b"x")
    with pytest.raises(UnknownImage, match=text):
        store.image(text)


def test_malformed_references_are_refused(store: ImageStore) -> None:
    with pytest.raises(BadReference):
        store.image("UPPER")
    with pytest.raises(BadReference):
        store.tag(add_image(store, None, b"x"), "a b")


def test_an_ambiguous_prefix_is_refused(store: ImageStore) -> None:
    ids = sorted(str(add_image(store, None, b"%d" % i).id.hex) for i in range(20))
    twice = next(a[0] for a, b in pairwise(ids) if a[0] == b[0])
    with pytest.raises(AmbiguousImage) as caught:
        store.image(twice)
    assert len(caught.value.candidates) >= 2


def test_a_name_goes_to_the_newest_image_and_the_old_one_stays(store: ImageStore) -> None:
    old = add_image(store, "app", b"old")
    new = add_image(store, "app", b"new")
    assert store.image("app").id == new.id
    assert store.image(str(old.id)).references == ()
    assert sorted(record.reference or "" for record in store.images()) == ["", "app:latest"]
    store.tag(old, "other")
    assert sorted(record.reference or "" for record in store.images()) == ["app:latest", "other:latest"]


def test_a_tag_twice_is_one_tag(store: ImageStore) -> None:
    image = add_image(store, "app", b"x")
    assert store.tag(image, "app").references == ("app:latest",)
    assert store.tag("app", "b:1").references == ("app:latest", "b:1")
    assert len(store.images()) == 2


def test_images_share_layers_and_removal_keeps_what_is_shared(store: ImageStore) -> None:
    base = add_image(store, "base", b"base")
    top = add_image(store, "top", b"top", base)
    removed = store.remove("base")
    assert (removed.untagged, removed.deleted) == (("base:latest",), (base.id,))
    for diff_id in top.diff_ids:
        store.layer(diff_id).close()
    store.remove("top")
    assert store.images() == []
    assert not list(store.layout.layers.iterdir())
    assert not list((store.layout.blobs / "sha256").iterdir())


def test_a_removed_image_leaves_an_empty_store(tmp_path: Path) -> None:
    store = ImageStore.open(tmp_path / "s")
    before = snapshot(store.root)
    add_image(store, "a", b"x")
    store.remove("a")
    after = snapshot(store.root)
    assert after.keys() == before.keys()
    assert json.loads(after["index.json"])["manifests"] == []


def test_removing_one_of_several_names_only_untags(store: ImageStore) -> None:
    image = add_image(store, "a", b"x")
    store.tag(image, "b")
    removed = store.remove("a")
    assert (removed.untagged, removed.deleted) == (("a:latest",), ())
    assert store.image("b").id == image.id


def test_removal_by_id_of_an_image_with_several_names_needs_force(store: ImageStore) -> None:
    image = add_image(store, "a", b"x")
    store.tag(image, "b")
    with pytest.raises(ImageInUse):
        store.remove(image.id.hex[:12])
    assert store.remove(image.id.hex[:12], force=True).deleted == (image.id,)
    with pytest.raises(UnknownImage):
        store.remove("a")


def test_layers_that_containers_need_stay(store: ImageStore) -> None:
    image = add_image(store, "a", b"x")
    store.remove("a", in_use=lambda: image.diff_ids)
    store.layer(image.diff_ids[0]).close()
    assert store.layout.has_blob(image.manifest.layers[0].digest)


def test_views_go_with_the_image_unless_in_use(store: ImageStore) -> None:
    one, two = add_image(store, "a", b"x"), add_image(store, "b", b"y")
    for image in (one, two):
        for suffix in ("lmdb", "view"):
            (store.layout.views / f"{image.chain_id.hex}.{suffix}").write_bytes(b"")
    store.remove("a")
    store.remove("b", in_use=lambda: [two.chain_id])
    assert {p.name for p in store.layout.views.iterdir()} == {f"{two.chain_id.hex}.{s}" for s in ("lmdb", "view")}


def test_prune_takes_unnamed_images_and_old_garbage_only(store: ImageStore) -> None:
    unnamed = add_image(store, None, b"x")
    named = add_image(store, "a", b"y")
    fresh, old = (store.layout.blobs / "sha256" / (c * 64) for c in "ab")
    fresh.write_bytes(b"")
    old.write_bytes(b"")
    os.utime(old, (0, 0))
    assert store.prune().deleted == (unnamed.id,)
    assert store.image("a").id == named.id
    store.layer(named.diff_ids[0]).close()
    assert fresh.exists()
    assert not old.exists()


def test_an_image_without_its_blob_is_not_recorded(store: ImageStore) -> None:
    digest = Digest.of(b"nowhere")
    config = ImageConfig("linux", "amd64").with_layer(digest, History())
    with pytest.raises(CorruptStore):
        recording.add_image(store, config, [Descriptor(OCI_LAYER_ZSTD, digest, 7)], "a")
    assert store.images() == []


def test_an_image_without_layers_works(store: ImageStore) -> None:
    image = recording.add_image(store, ImageConfig("linux", "amd64"), [], "scratch")
    assert image.chain_id == chain_id([])
    assert store.image("scratch").diff_ids == ()


def test_damage_to_a_manifest_is_noticed(store: ImageStore) -> None:
    image = add_image(store, "a", b"x")
    path = store.layout.blob_path(image.manifest_digest)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(CorruptStore):
        store.image("a")


@pytest.mark.parametrize("damage", ["cut", "gone", "config"])
def test_one_damaged_image_does_not_hide_the_others(store: ImageStore, damage: str) -> None:
    good, bad = add_image(store, "good", b"x"), add_image(store, "bad", b"y")
    path = store.layout.blob_path(bad.manifest.config.digest if damage == "config" else bad.manifest_digest)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    notes: list[str] = []
    assert [record.reference for record in store.images(notes.append)] == ["good:latest"]
    [line] = notes
    assert line.startswith("bad:latest is left out")
    with pytest.raises(CorruptStore):
        store.images()
    assert store.image(good.id.hex[:12]).id == good.id
    if damage != "config":
        with pytest.raises(CorruptStore):
            store.image("0" * 12)  # which may be the one that cannot be read


def test_a_name_of_others_that_is_none_is_not_in_the_way(store: ImageStore) -> None:
    image = add_image(store, "a", b"x")
    path = store.root / "index.json"
    index = json.loads(path.read_bytes())
    index["manifests"].insert(0, {**index["manifests"][0], "annotations": {REF_NAME: "Not A Name"}})
    path.write_text(json.dumps(index))
    assert store.image("a").id == store.image(f"a@{image.manifest_digest}").id == image.id


def test_what_others_put_into_the_layout_is_kept(store: ImageStore) -> None:
    image = add_image(store, "a", b"x")
    path = store.root / "index.json"
    index = json.loads(path.read_bytes())
    index["annotations"] = {"theirs": "1"}
    index["manifests"][0]["theirs"] = [1, 2]
    path.write_text(json.dumps(index))
    store.tag(image, "b")
    index = json.loads(path.read_bytes())
    assert index["annotations"] == {"theirs": "1"}
    assert index["manifests"][0]["theirs"] == [1, 2]


def test_a_config_loses_nothing_on_rewrite() -> None:
    data = make_config([b"tar"], os_features=["x"], history=[{"created_by": "y", "z": 1, "empty_layer": True}])
    assert json.loads(ImageConfig.parse(data, "x").to_bytes()) == json.loads(data)


def test_layer_indexes_are_made_again_from_the_blobs(store: ImageStore, tmp_path: Path) -> None:
    tar = tmp_path / "rootfs.tar.gz"
    tar.write_bytes(gzip.compress(make_tar([("etc/motd", "f", "hello"), ("big", "f", os.urandom(3_000_000))])))
    image = add_image(store, "app", b"top", store.import_rootfs(tar, "base"))
    before = [list(store.layer(diff_id).iter_raw()) for diff_id in image.diff_ids]
    shutil.rmtree(store.layout.layers)
    store.layout.layers.mkdir()
    with pytest.raises(CorruptStore):
        store.layer(image.diff_ids[0])
    store.prepare(image)
    assert [list(store.layer(diff_id).iter_raw()) for diff_id in image.diff_ids] == before
    store.prepare(image)


def test_skopeo_reads_the_store_and_what_it_puts_there_is_usable(
    store: ImageStore, tmp_path: Path, tool: Callable[[str], str]
) -> None:
    skopeo = tool("skopeo")
    tar = tmp_path / "rootfs.tar"
    tar.write_bytes(make_tar([("etc/motd", "f", "hello")]))
    image = store.import_rootfs(tar, "app:1")
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "TMPDIR": str(tmp_path)}

    def run(*arguments: object) -> bytes:
        command = [skopeo, "--insecure-policy", *map(str, arguments)]
        return subprocess.run(command, check=True, capture_output=True, env=environment).stdout

    assert json.loads(run("inspect", f"oci:{store.root}:app:1"))["Digest"] == str(image.manifest_digest)
    run("copy", f"oci:{store.root}:app:1", f"oci:{tmp_path}/out:x")
    run("copy", f"oci:{tmp_path}/out:x", f"oci:{store.root}:theirs:2")
    theirs = store.image("theirs:2")
    assert theirs.diff_ids == image.diff_ids
    store.prepare(theirs)
    store.remove("app:1")
    layer = store.layer(theirs.diff_ids[0])
    entry = layer.find_path(b"etc/motd")
    assert entry is not None
    with layer.open_content(entry) as stream:
        assert stream.read() == b"hello"
    layer.close()

"""Multi-platform images as a whole: loaded, named, listed, chosen from, saved, removed, checked. Registries and real
tools are in test_multiplatform_travel.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rootlay.store.check.run import check_store
from rootlay.store.layout.removal import prune
from rootlay.store.model.errors import BadManifest, DigestMismatch, ImageInUse, WrongPlatform
from rootlay.store.model.manifest import Descriptor, Platform
from rootlay.store.store import ImageStore
from tests.support.archives.exchange import assert_content
from tests.support.archives.make import LayoutBuilder, make_tar, sha256
from tests.support.archives.multi import HERE, OTHER, several


def layout_of(*names: str, here: str = HERE) -> tuple[LayoutBuilder, dict[str, object]]:
    """A layout with one multi-platform image, and the index's descriptor."""
    layout = LayoutBuilder()
    top = several(layout, here=here)
    for name in names:
        layout.name(top, name)
    return layout, top


def layout_of_wrong_sizes(name: str) -> LayoutBuilder:
    """A layout with one multi-platform image, whose index gives each manifest one byte too many."""
    layout, top = layout_of()
    index = json.loads(layout.files[f"blobs/sha256/{str(top['digest'])[7:]}"])
    for each in index["manifests"]:
        each["size"] += 1
    data = json.dumps(index).encode()
    layout.files[f"blobs/sha256/{sha256(data)[7:]}"] = data
    layout.name({**top, "digest": sha256(data), "size": len(data)}, name)
    return layout


def blobs(store: ImageStore) -> dict[str, bytes]:
    """All blobs by digest."""
    return {f"sha256:{path.name}": path.read_bytes() for path in (store.root / "blobs/sha256").iterdir()}


def expected_blobs(layout: LayoutBuilder) -> dict[str, bytes]:
    return {sha256(data): data for path, data in layout.files.items() if path.startswith("blobs/")}


def findings(store: ImageStore, **options: Any) -> list[str]:
    return [f"{outcome.finding.code} {outcome.finding.text}" for outcome in check_store(store.root, **options)]


def test_a_layout_that_has_all_of_it_is_loaded_whole(store: ImageStore, tmp_path: Path) -> None:
    """Bit for bit: attestations, and Windows, too; and the image for this machine is what the name leads to."""
    layout, top = layout_of("app:1")
    [image] = store.load(layout.write(tmp_path / "theirs"))
    assert blobs(store) == expected_blobs(layout)
    assert image.config.architecture == HERE
    assert image.index is not None
    assert str(image.index.digest) == top["digest"]
    assert store.image("app:1") == image
    other = store.image("app:1", Platform("linux", OTHER))
    assert (other.config.architecture, other.index) == (OTHER, None)
    assert_content(store, image)
    assert_content(store, other)
    assert findings(store, deep=True) == []


def test_an_archive_goes_out_as_it_came(store: ImageStore, other: ImageStore, tmp_path: Path) -> None:
    layout, _ = layout_of("app:1")
    (tmp_path / "theirs.tar").write_bytes(layout.tar())
    store.load(tmp_path / "theirs.tar")
    store.save(["app:1"], tmp_path / "ours.tar", "oci-archive")
    other.load(tmp_path / "ours.tar")
    assert blobs(other) == expected_blobs(layout)
    assert other.image("app:1") == store.image("app:1")


@pytest.mark.parametrize("what", ["ID", "digest", "name and digest"])
def test_each_image_is_found_by_its_own_digests(store: ImageStore, tmp_path: Path, what: str) -> None:
    layout, top = layout_of("app:1")
    store.load(layout.write(tmp_path / "theirs"))
    for architecture in (HERE, OTHER):
        image = store.image("app:1", Platform("linux", architecture))
        text = {"ID": str(image.id), "digest": str(image.manifest_digest), "name and digest": f"app@{image.id}"}[what]
        found = store.image(text)
        assert (found.manifest_digest, found.index, found.references) == (image.manifest_digest, None, ())
    assert str(store.image(f"app@{top['digest']}").entry.digest) == top["digest"]


def test_one_line_in_the_listing(store: ImageStore, tmp_path: Path) -> None:
    layout, top = layout_of("app:1", "app:2")
    store.load(layout.write(tmp_path / "theirs"))
    records = store.images()
    assert sorted(record.reference or "" for record in records) == ["app:1", "app:2"]
    for record in records:
        assert str(record.manifest_digest) == top["digest"]
        assert record.size == sum(len(data) for data in expected_blobs(layout).values())
        assert record.platforms == (f"linux/{HERE}", f"linux/{OTHER}")


def test_a_part_of_it_is_missing(store: ImageStore, tmp_path: Path) -> None:
    """As docker saves it: the index, and one platform's image. That is taken, alone."""
    layout, _ = layout_of("app:1")
    whole = ImageStore.open(tmp_path / "whole")
    [image] = whole.load(layout.write(tmp_path / "theirs"))
    gone = whole.image("app:1", Platform("linux", OTHER))
    (tmp_path / "theirs/blobs/sha256" / gone.manifest.layers[0].digest.hex).unlink()
    [part] = store.load(tmp_path / "theirs")
    assert (part.manifest_digest, part.index) == (image.manifest_digest, None)
    assert not store.layout.has_blob(gone.manifest_digest)
    with pytest.raises(BadManifest, match="missing"):
        store.load(tmp_path / "theirs", all_platforms=True)


@pytest.mark.parametrize("all_platforms", [False, True])
def test_an_index_that_gives_a_wrong_size(store: ImageStore, tmp_path: Path, all_platforms: bool) -> None:
    layout = layout_of_wrong_sizes("app:1")
    with pytest.raises(DigestMismatch, match="size: expected"):
        store.load(layout.write(tmp_path / "theirs"), all_platforms=all_platforms)
    assert store.images() == []


def test_an_image_of_an_earlier_version_whose_index_gives_a_wrong_size(
    store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = layout_of_wrong_sizes("app:1")
    with monkeypatch.context() as earlier:
        earlier.setattr(Descriptor, "check_size", lambda self, data, what: None)
        store.load(layout.write(tmp_path / "theirs"), all_platforms=True)
    assert [image.reference for image in store.images()] == ["app:1"]
    assert store.image("app:1").config.architecture == HERE
    assert findings(store, deep=True) == []
    prune(store.layout, tuple, grace_s=-1)
    store.save(["app:1"], tmp_path / "ours.tar", "oci-archive")
    store.remove("app:1")
    assert store.images() == []


def test_one_platform_may_be_asked_for(store: ImageStore, tmp_path: Path) -> None:
    layout, _ = layout_of("app:1")
    [image] = store.load(layout.write(tmp_path / "theirs"), platform=Platform("linux", OTHER))
    assert (image.config.architecture, image.index) == (OTHER, None)
    store.save([str(image.id)], tmp_path / "one", "oci-dir")
    assert json.loads((tmp_path / "one/index.json").read_bytes())["manifests"][0]["digest"] == str(
        image.manifest_digest
    )


def test_saved_for_one_platform(store: ImageStore, other: ImageStore, tmp_path: Path) -> None:
    layout, _ = layout_of("app:1")
    store.load(layout.write(tmp_path / "theirs"))
    wanted = Platform("linux", OTHER)
    store.save(["app:1"], tmp_path / "one", "oci-dir", platform=wanted)
    [image] = other.load(tmp_path / "one", platform=wanted)
    assert image == store.image("app:1", wanted)
    with pytest.raises(WrongPlatform, match="riscv64"):
        store.save(["app:1"], tmp_path / "none", "oci-dir", platform=Platform("linux", "riscv64"))
    store.save(["app:1"], tmp_path / "docker.tar")  # the format has no indexes: this machine's
    [docker] = ImageStore.open(tmp_path / "third").load(tmp_path / "docker.tar")
    assert docker.id == store.image("app:1").id


def test_an_image_for_other_machines(store: ImageStore, tmp_path: Path) -> None:
    """Refused by default, kept whole where that is asked for: to be carried somewhere else."""
    layout, top = layout_of("app:1", here="riscv64")
    source = layout.write(tmp_path / "theirs")
    with pytest.raises(WrongPlatform, match="riscv64"):
        store.load(source)
    assert store.images() == []
    [image] = store.load(source, all_platforms=True)
    assert image.config.architecture == "riscv64"
    assert str(image.entry.digest) == top["digest"]


def test_an_index_that_does_not_say_for_which_machine(unchanged: ImageStore, tmp_path: Path) -> None:
    """Then the image's config does."""
    layout = LayoutBuilder()
    layout.name(layout.index([layout.manifest([make_tar([("f", "f", "x")])], architecture=OTHER)]), "app:1")
    with pytest.raises(WrongPlatform, match=OTHER):
        unchanged.load(layout.write(tmp_path / "theirs"))


def test_names_come_and_go(store: ImageStore, tmp_path: Path) -> None:
    """A new name is one of the whole; with the last one all of it goes: blobs, layers, views."""
    layout, top = layout_of("app:1")
    [image] = store.load(layout.write(tmp_path / "theirs"))
    store.tag("app:1", "more:1")
    assert str(store.image("more:1").entry.digest) == top["digest"]
    with pytest.raises(ImageInUse):
        store.remove(str(image.id))
    assert store.remove("app:1").untagged == ("app:1",)
    assert blobs(store) == expected_blobs(layout)
    assert store.remove("more:1").deleted == (image.id,)
    assert blobs(store) == {}
    assert list(store.layout.layers.iterdir()) == []


def test_prune_keeps_what_the_index_lists(store: ImageStore, tmp_path: Path) -> None:
    """Also what nobody but the index names, and however old it is; and takes all of it when its name is gone."""
    layout, _ = layout_of("app:1")
    store.load(layout.write(tmp_path / "theirs"))
    layers = sorted(store.layout.layers.iterdir())
    prune(store.layout, tuple, grace_s=-1)
    assert blobs(store) == expected_blobs(layout)
    assert sorted(store.layout.layers.iterdir()) == layers
    (tmp_path / "new").mkdir()
    store.import_rootfs(tmp_path / "new", "app:1")
    prune(store.layout, tuple, grace_s=-1)
    assert not set(blobs(store)) & set(expected_blobs(layout))


def test_a_child_may_have_a_name_of_its_own(store: ImageStore, tmp_path: Path) -> None:
    """It stays when the index goes, and the index stays whole when the child's name goes."""
    layout, _ = layout_of("app:1")
    [image] = store.load(layout.write(tmp_path / "theirs"))
    store.tag(store.image(str(image.id)), "mine:1")
    assert store.image("mine:1").index is None
    store.remove("mine:1")
    assert blobs(store) == expected_blobs(layout)
    store.tag(store.image(str(image.id)), "mine:1")
    store.remove("app:1")
    kept = store.image("mine:1")
    assert set(blobs(store)) == {str(kept.manifest_digest), str(kept.id), str(kept.manifest.layers[0].digest)}
    assert_content(store, kept)


def test_fsck_names_what_is_missing(store: ImageStore, tmp_path: Path) -> None:
    layout, _ = layout_of("app:1")
    store.load(layout.write(tmp_path / "theirs"))
    gone = store.image("app:1", Platform("linux", OTHER))
    store.layout.blob_path(gone.manifest_digest).unlink()
    [text] = findings(store)
    assert text.startswith("image-incomplete")
    assert OTHER in text
    assert store.image("app:1").config.architecture == HERE  # which is as good as ever
    store.load(tmp_path / "theirs")
    assert findings(store) == []


def test_fsck_finds_a_lost_index_again(store: ImageStore, tmp_path: Path) -> None:
    layout, top = layout_of("app:1")
    store.load(layout.write(tmp_path / "theirs"))
    (store.root / "index.json").write_text("{")
    assert [str(outcome.status) for outcome in check_store(store.root, repair=True)] == ["rebuilt"]
    [record] = store.images()
    assert str(record.manifest_digest) == top["digest"]
    prune(store.layout, tuple, dry_run=True)
    assert blobs(store) == expected_blobs(layout)


def test_what_another_tool_writes_into_the_store(store: ImageStore, tmp_path: Path) -> None:
    """`skopeo copy --all … oci:STORE:app:1`: usable at once; its layers are indexed when they are first needed."""
    layout, _ = layout_of("app:1")
    for path, data in layout.all_files().items():
        (store.root / path).write_bytes(data)
    image = store.image("app:1")
    assert image.config.architecture == HERE
    assert_content(store, image)
    assert [record.reference for record in store.images()] == ["app:1"]

"""`load`: docker-archives and OCI layouts in all their shapes."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from rootlay.store.model.access import Access
from rootlay.store.model.entry import EntryType
from rootlay.store.model.errors import (
    BadManifest,
    BadReference,
    DigestMismatch,
    NotAnArchive,
    RootlayError,
    TruncatedArchive,
    UnsafePath,
    UnsupportedMedia,
    WrongPlatform,
)
from rootlay.store.model.manifest import Platform
from rootlay.store.store import ImageStore
from tests.support.archives.make import LayoutBuilder, docker_archive, make_config, make_tar, sha256

pytestmark = pytest.mark.once

BASE = make_tar([("a", "f", "base"), ("d/b", "f", "b" * 3_000_000)])
TOP = make_tar([("d/.wh.b", "f", ""), ("c", "f", "top")])
OTHER_ARCHITECTURE = "s390x"


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def assert_readable(store: ImageStore, reference: str, layers: list[bytes]) -> None:
    image = store.image(reference)
    assert [str(d) for d in image.diff_ids] == [sha256(tar) for tar in layers]
    for diff_id, tar in zip(image.diff_ids, layers, strict=True):
        layer = store.layer(diff_id)
        assert b"".join(layer.iter_tar()) == tar
        layer.close()


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.compress])
def test_docker_archives(store: ImageStore, tmp_path: Path, linked: bool, compress: Callable[[bytes], bytes]) -> None:
    data = docker_archive([([BASE, TOP], ["app:1", "app:one"]), ([BASE], ["base"])], linked=linked)
    images = store.load(put(tmp_path / "image.tar", compress(data)))
    assert [image.references for image in images] == [("app:1", "app:one"), ("base:latest",)]
    assert_readable(store, "app:1", [BASE, TOP])
    assert_readable(store, "base", [BASE])
    assert str(images[0].id) == sha256(make_config([BASE, TOP]))


def test_docker_archives_from_a_stream_and_a_directory(
    store: ImageStore, tmp_path: Path, tool: Callable[[str], str]
) -> None:
    data = docker_archive([([BASE, BASE], ["app"])], linked=True)
    assert store.load(io.BytesIO(data))[0].references == ("app:latest",)
    store.remove("app")
    (tmp_path / "d").mkdir()
    subprocess.run([tool("tar"), "-C", tmp_path / "d", "-xf", "-"], input=data, check=True)
    assert store.load(tmp_path / "d")[0].references == ("app:latest",)
    assert_readable(store, "app", [BASE, BASE])


def test_the_config_is_kept_bit_for_bit(store: ImageStore, tmp_path: Path) -> None:
    image = store.load(put(tmp_path / "i.tar", docker_archive([([BASE], [])])))[0]
    assert store.layout.read_blob(image.id) == make_config([BASE])
    assert image.config.config.extra == {"Unknown": 1}
    assert store.image(image.id.hex[:8]).id == image.id


def _layout(name: str | None = "app") -> LayoutBuilder:
    layout = LayoutBuilder()
    layout.name(layout.manifest([BASE, TOP], [gzip.compress(BASE), gzip.compress(TOP)]), name)
    return layout


def test_oci_layouts_as_directory_tar_and_stream(store: ImageStore, tmp_path: Path) -> None:
    layout = _layout()
    sources = (layout.write(tmp_path / "dir"), put(tmp_path / "a.tar", layout.tar()), io.BytesIO(layout.tar()),
               io.BytesIO(gzip.compress(layout.tar())))  # fmt: skip
    for source in sources:
        [image] = store.load(source)
        assert image.references == ("app:latest",)
        assert str(image.manifest_digest) == layout.manifests[0]["digest"]
        assert_readable(store, "app", [BASE, TOP])
        assert store.remove("app").deleted == (image.id,)


def test_a_plain_tar_in_an_oci_layout_is_kept_and_read_in_place(store: ImageStore, tmp_path: Path) -> None:
    layout = LayoutBuilder()
    layout.name(layout.manifest([BASE]), "app")
    [image] = store.load(layout.write(tmp_path / "d"))
    layer = store.layer(image.diff_ids[0])
    assert layer.meta.access is Access.TAR
    assert store.layout.blob_path(image.manifest.layers[0].digest).read_bytes() == BASE
    layer.close()
    assert_readable(store, "app", [BASE])


def test_a_single_zstd_frame_gets_a_pack(store: ImageStore, tmp_path: Path) -> None:
    tar = make_tar([(f"f{i}", "f", f"{i}" * 300_000) for i in range(40)])
    layout = LayoutBuilder()
    layout.name(layout.manifest([tar], [zstandard.compress(tar)]), "app")
    [image] = store.load(layout.write(tmp_path / "d"))
    layer = store.layer(image.diff_ids[0])
    assert layer.meta.access is Access.PACK
    pack = layer.data_path.read_bytes()
    assert zstandard.ZstdDecompressor().stream_reader(pack, read_across_frames=True).read() == tar
    layer.close()
    assert_readable(store, "app", [tar])


def test_nested_indexes_give_the_hosts_platform(store: ImageStore, tmp_path: Path) -> None:
    layout = LayoutBuilder()
    machine = json.loads(make_config([]))["architecture"]
    ours = {**layout.manifest([BASE]), "platform": {"os": "linux", "architecture": machine}}
    theirs = {**layout.manifest([TOP], architecture=OTHER_ARCHITECTURE),
              "platform": {"os": "linux", "architecture": OTHER_ARCHITECTURE}}  # fmt: skip
    attestation = {**layout.blob(b"{}", "application/vnd.oci.image.manifest.v1+json"),
                   "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
                   "platform": {"os": "unknown", "architecture": "unknown"}}  # fmt: skip
    layout.name(layout.index([layout.index([theirs, attestation, ours])]), "app")
    [image] = store.load(layout.write(tmp_path / "d"))
    assert_readable(store, "app", [BASE])
    [other] = store.load(tmp_path / "d", platform=Platform("linux", OTHER_ARCHITECTURE))
    assert_readable(store, "app", [TOP])
    assert store.image(str(image.id)).references == ()
    assert other.config.architecture == OTHER_ARCHITECTURE


def test_a_missing_platform_names_those_that_are_there(unchanged: ImageStore, tmp_path: Path) -> None:
    layout = LayoutBuilder()
    found = {**layout.manifest([TOP], architecture="mips"), "platform": {"os": "linux", "architecture": "mips"}}
    layout.name(layout.index([found]), "app")
    with pytest.raises(WrongPlatform, match="linux/mips"):
        unchanged.load(layout.write(tmp_path / "d"))


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_an_image_for_another_architecture_is_refused(unchanged: ImageStore, tmp_path: Path, kind: str) -> None:
    if kind == "oci":
        layout = LayoutBuilder()
        layout.name(layout.manifest([BASE], architecture=OTHER_ARCHITECTURE), "app")
        source = layout.write(tmp_path / "d")
    else:
        config = make_config([BASE], OTHER_ARCHITECTURE)
        manifest = [{"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["l.tar"]}]
        source = put(tmp_path / "i.tar", make_tar([("c.json", "f", config), ("l.tar", "f", BASE),
                                                   ("manifest.json", "f", json.dumps(manifest).encode())]))  # fmt: skip
    with pytest.raises(WrongPlatform):
        unchanged.load(source)


def test_a_name_may_be_given(store: ImageStore, tmp_path: Path) -> None:
    [image] = store.load(_layout("x").write(tmp_path / "d"), reference="mine:2")
    assert image.references == ("mine:2",)
    two = put(tmp_path / "two.tar", docker_archive([([BASE], ["a"]), ([TOP], ["b"])]))
    with pytest.raises(BadReference):
        store.load(two, reference="mine")


def test_a_layer_that_is_here_is_not_read_again(store: ImageStore, tmp_path: Path) -> None:
    layout = _layout()
    store.load(layout.write(tmp_path / "d"))
    layer = layout.manifests[0]
    for path in (tmp_path / "d/blobs/sha256").iterdir():
        if path.stat().st_size > 2000 or path.read_bytes()[:2] == b"\x1f\x8b":
            path.write_bytes(b"spoiled")
    assert str(store.load(tmp_path / "d", reference="again")[0].manifest_digest) == layer["digest"]


# Bad archives: a typed error, and a store as before.


def _spoil(layout: LayoutBuilder, change: Callable[[bytes], bytes]) -> bytes:
    """The layout with its first layer changed."""
    path = next(p for p, d in layout.files.items() if d[:2] == b"\x1f\x8b" and gzip.decompress(d) == BASE)
    layout.files[path] = change(layout.files[path])
    return layout.tar()


def _bad(name: str) -> tuple[bytes, type[RootlayError]]:
    layout = _layout()
    manifest_path = "blobs/" + str(layout.manifests[0]["digest"]).replace(":", "/")
    if name == "other content":
        return _spoil(layout, lambda blob: gzip.compress(TOP)), DigestMismatch
    if name == "flipped bit":
        return _spoil(layout, lambda blob: blob[:-20] + bytes([blob[-20] ^ 1]) + blob[-19:]), DigestMismatch
    if name == "truncated layer":
        return _spoil(layout, lambda blob: blob[: len(blob) // 2]), DigestMismatch
    if name == "wrong diff ID":
        layout = LayoutBuilder()
        layout.name(layout.manifest([BASE], [gzip.compress(TOP)]), "app")
        return layout.tar(), DigestMismatch
    if name == "no tar in the layer":
        layout = LayoutBuilder()
        layout.name(layout.manifest([b"hello" * 1000]), "app")
        return layout.tar(), NotAnArchive
    if name == "unsafe path":
        layout = LayoutBuilder()
        layout.name(layout.manifest([make_tar([("../a", "f", "x")])]), "app")
        return layout.tar(), UnsafePath
    if name == "spoiled manifest":
        layout.files[manifest_path] += b" "
        return layout.tar(), DigestMismatch
    if name == "missing layer":
        del layout.files[next(p for p, d in layout.files.items() if d[:2] == b"\x1f\x8b")]
        return layout.tar(), BadManifest
    if name == "an artifact":
        layout.manifests[0]["mediaType"] = "application/octet-stream"
        return layout.tar(), UnsupportedMedia
    if name == "diff IDs and layers do not pair up":
        layout = LayoutBuilder()
        layout.name(layout.manifest([BASE, TOP], [BASE]), "app")
        return layout.tar(), BadManifest
    if name == "truncated archive":
        return layout.tar()[:4000], TruncatedArchive
    if name == "a root file system":
        return BASE, NotAnArchive
    if name == "no tar":
        return b"hello" * 1000, NotAnArchive
    if name == "empty":
        return b"", NotAnArchive
    if name == "docker: config named for another":
        data = docker_archive([([BASE], ["app"])])
        return data.replace(b'"Cmd": ["sh"]', b'"Cmd": ["zh"]'), DigestMismatch
    if name == "docker: layer of another":
        return docker_archive([([BASE], ["app"])]).replace(b"bbbbbbbb", b"bbbbbbba", 1), DigestMismatch
    if name == "docker: a list of nothing":
        return make_tar([("manifest.json", "f", "[]")]), BadManifest
    if name == "docker: no JSON":
        return make_tar([("manifest.json", "f", "[[[")]), BadManifest
    if name == "docker: path that escapes":
        return make_tar([("manifest.json", "f", '[{"Config": "../../etc/passwd", "Layers": []}]')]), UnsafePath
    raise AssertionError(name)


@pytest.mark.parametrize(
    "name",
    ["other content", "flipped bit", "truncated layer", "wrong diff ID", "no tar in the layer", "unsafe path",
     "spoiled manifest", "missing layer", "an artifact", "diff IDs and layers do not pair up", "truncated archive",
     "a root file system", "no tar", "empty", "docker: config named for another", "docker: layer of another",
     "docker: a list of nothing", "docker: no JSON", "docker: path that escapes"],
)  # fmt: skip
def test_bad_archives_are_refused_and_change_nothing(unchanged: ImageStore, tmp_path: Path, name: str) -> None:
    data, expected = _bad(name)
    with pytest.raises(expected) as caught:
        unchanged.load(put(tmp_path / "bad.tar", data))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_link_out_of_a_directory_is_refused(unchanged: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    put(tmp_path / "secret", b"{}")
    (tmp_path / "d/manifest.json").symlink_to(tmp_path / "secret")
    with pytest.raises(UnsafePath):
        unchanged.load(tmp_path / "d")


def test_layers_made_by_umoci(store: ImageStore, tmp_path: Path, tool: Callable[[str], str]) -> None:
    umoci = tool("umoci")
    layout = tmp_path / "layout"
    for directory, name in (("one", "old"), ("two", "new")):
        (tmp_path / directory).mkdir()
        put(tmp_path / directory / name, name.encode() * 1000)
    image = f"{layout}:app"
    rootless = [] if os.getuid() == 0 else ["--rootless"]
    for command in (
        ["init", "--layout", layout],
        ["new", "--image", image],
        ["insert", *rootless, "--image", image, tmp_path / "one", "/d"],
        ["insert", *rootless, "--image", image, "--whiteout", "/d/old"],
        ["insert", *rootless, "--image", image, "--opaque", tmp_path / "two", "/d"],
    ):
        subprocess.run([umoci, *map(str, command)], check=True, capture_output=True)
    [loaded] = store.load(layout)
    assert loaded.references == ("app:latest",)
    found = []
    for diff_id in loaded.diff_ids:
        layer = store.layer(diff_id)
        found.append({path: layer.find_path(path) for path in (b"d", b"d/old", b"d/new")})
        layer.close()
    kinds = [{path.decode(): entry.type for path, entry in layer.items() if entry} for layer in found]
    a_directory, a_file, a_whiteout = EntryType.DIRECTORY, EntryType.FILE, EntryType.WHITEOUT
    assert kinds == [
        {"d": a_directory, "d/old": a_file},
        {"d": a_directory, "d/old": a_whiteout},
        {"d": a_directory, "d/new": a_file},
    ]
    assert [bool(layer[b"d"] and layer[b"d"].opaque) for layer in found] == [False, False, True]


@pytest.mark.parametrize("packer", ["gzip", "xz", "zstd", "none"])
def test_what_is_spooled_is_spooled_compressed(store: ImageStore, tmp_path: Path, packer: str) -> None:
    """An archive that is compressed as a whole, or comes as a stream, never lies in `tmp/` at its full size."""
    tar = make_tar([("text", "f", b"".join(b"line %d\n" % number for number in range(300_000)))])
    archive = docker_archive([([tar, BASE], ["app:1"])])
    packers: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress, "xz": lzma.compress, "zstd": zstandard.compress, "none": bytes,
    }  # fmt: skip
    source = io.BytesIO(packers[packer](archive))
    most = 0

    def watch(done_bytes: int, total_bytes: int | None, label: str) -> None:
        nonlocal most
        spooled = list(store.layout.tmp.glob("*/archive"))
        assert spooled
        most = max(most, *(path.stat().st_size for path in spooled))

    store.load(source, progress=watch)
    assert 0 < most < len(archive) // 2
    assert_readable(store, "app:1", [tar, BASE])
    assert not list(store.layout.tmp.iterdir())

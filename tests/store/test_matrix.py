"""Images go to other tools and come back, and come from them and go back: image IDs, digests and content equal.

Oracles: skopeo and umoci (and podman, where it is installed and may run). That a layer's content is what its diff ID
promises is verified by whoever reads it; what each tool makes of the layers is compared in tests/cli/test_exchange.py.
"""

from __future__ import annotations

import gzip
import json
import lzma
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from rootlay.store.model.manifest import Platform
from rootlay.store.registry.pull import pull
from rootlay.store.registry.push import push
from rootlay.store.registry.settings import Settings
from rootlay.store.store import ImageStore
from tests.support.archives.estargz import make_estargz
from tests.support.archives.exchange import IMAGES, LONG, Run, assert_content, identity
from tests.support.archives.make import LayoutBuilder, make_config, make_tar
from tests.support.registry.real import RealRegistry, running

# umoci needs minutes for Debian, and for 50,000 files
pytestmark = [pytest.mark.long_form, pytest.mark.oracles, pytest.mark.once, pytest.mark.timeout(3000 if LONG else 300)]


@pytest.mark.parametrize("name", IMAGES)
def test_from_us_through_skopeo_and_back(
    sources: Callable[[str], ImageStore], other: ImageStore, tmp_path: Path, run: Run, name: str
) -> None:
    """As a layout bit for bit; as a docker-archive the layers are written anew, and the image ID stays."""
    store = sources(name)
    image = store.image("app:1")
    run("skopeo", "copy", "-q", f"oci:{store.root}:app:1", f"oci:{tmp_path}/layout:app:1")
    [back] = other.load(tmp_path / "layout")
    assert back.manifest_digest == image.manifest_digest
    assert_content(other, back)
    if name != "100-layers" and not LONG:
        return
    run("skopeo", "copy", "-q", f"oci:{store.root}:app:1", f"docker-archive:{tmp_path}/a.tar:again:1")
    [again] = ImageStore.open(tmp_path / "third").load(tmp_path / "a.tar")
    assert identity(again) == identity(image)


@pytest.mark.parametrize("name", ["100-layers", "50000-files"])
@pytest.mark.parametrize("form", ["gzip", "zstd", "zstd:chunked"])
def test_from_skopeo_through_us_and_back(
    sources: Callable[[str], ImageStore], other: ImageStore, tmp_path: Path, run: Run, name: str, form: str
) -> None:
    """skopeo compresses; what we load and save has the same manifest digest for skopeo."""
    store = sources(name)
    store.save(["app:1"], tmp_path / "plain.tar")
    compress = ("--dest-compress-format", form, "--dest-compress-level", "1")
    run("skopeo", "copy", "-q", *compress, f"docker-archive:{tmp_path}/plain.tar", f"oci:{tmp_path}/theirs:app:1")
    [image] = other.load(tmp_path / "theirs")
    assert image.diff_ids == store.image("app:1").diff_ids  # the config is skopeo's: it drops what it does not know
    assert_content(other, image)
    other.save(["app:1"], tmp_path / "ours.tar", "oci-archive")
    run("skopeo", "copy", "-q", f"oci-archive:{tmp_path}/ours.tar:app:1", f"oci:{tmp_path}/back:app:1")
    before, after = (
        json.loads(run("skopeo", "inspect", f"oci:{tmp_path}/{place}:app:1"))["Digest"] for place in ("theirs", "back")
    )
    assert before == after == str(image.manifest_digest)


def forms(tar: bytes) -> dict[str, bytes]:
    """A layer in the compressions that tools write."""
    frames = zstandard.ZstdCompressor(write_checksum=True)
    return {
        "none": tar,
        "gzip": gzip.compress(tar, 1),
        "gzip-of-members": gzip.compress(tar[:1024], 1) + gzip.compress(tar[1024:], 1),
        "zstd": zstandard.compress(tar),
        "zstd-of-frames": frames.compress(tar[:2048]) + frames.compress(tar[2048:]),
        "xz": lzma.compress(tar, preset=0),
    }


TAR = make_tar([("d", "d", ""), ("d/a", "f", os.urandom(200_000)), ("d/l", "l", "a"), ("d/h", "h", "d/a")])


@pytest.mark.parametrize("form", [*forms(b""), "estargz"])
def test_every_compression_goes_out_as_it_came(
    store: ImageStore, other: ImageStore, tmp_path: Path, run: Run, form: str
) -> None:
    if form == "estargz":
        made = make_estargz(TAR)
        tar, blob = made.tar, made.blob
    else:
        tar, blob = TAR, forms(TAR)[form]
    layout = LayoutBuilder()
    layout.name(layout.manifest([tar], [blob]), "app:1")
    [image] = store.load(layout.write(tmp_path / "theirs"))
    assert_content(store, image)
    store.save(["app:1"], tmp_path / "ours.tar", "oci-archive")
    [back] = other.load(tmp_path / "ours.tar")
    assert back.manifest_digest == image.manifest_digest
    assert other.layout.blob_path(back.manifest.layers[0].digest).read_bytes() == blob
    if form != "xz":  # OCI has no media type for xz
        run("skopeo", "copy", "-q", f"oci-archive:{tmp_path}/ours.tar:app:1", f"docker-archive:{tmp_path}/d.tar:app:1")
        [third] = ImageStore.open(tmp_path / "third").load(tmp_path / "d.tar")
        assert identity(third) == identity(image)


@pytest.mark.parametrize("form", ["gzip", "zstd", "none"])
def test_saved_in_another_compression_it_is_the_same_image(
    sources: Callable[[str], ImageStore], other: ImageStore, tmp_path: Path, run: Run, form: str
) -> None:
    store = sources("100-layers")
    image = store.image("app:1")
    for place in ("one", "two"):
        store.save(["app:1"], tmp_path / place, "oci-dir", compression=form)
    assert (tmp_path / "one/index.json").read_bytes() == (tmp_path / "two/index.json").read_bytes()
    [back] = other.load(tmp_path / "one")
    assert identity(back) == identity(image)
    assert_content(other, back)
    suffix = {"gzip": "+gzip", "zstd": "+zstd", "none": ""}[form]
    assert {layer.media_type for layer in back.manifest.layers} == {f"application/vnd.oci.image.layer.v1.tar{suffix}"}
    assert (back.manifest_digest == image.manifest_digest) == (form == "zstd")  # it was zstd before
    run("skopeo", "copy", "-q", f"oci:{tmp_path}/one:app:1", f"dir:{tmp_path}/read")  # it verifies each digest


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    with running(tmp_path_factory.mktemp("registry") / "r") as found:
        yield found


@pytest.mark.parametrize("name", IMAGES)
def test_through_a_registry_and_skopeo(
    sources: Callable[[str], ImageStore], registry: RealRegistry, other: ImageStore, tmp_path: Path, run: Run, name: str
) -> None:
    """Pushed, copied by skopeo to another place, pulled, and pushed again: one digest all the way."""
    store = sources(name)
    place = f"{registry.host}/{name}"
    digest = push(store, "app:1", Settings(), target=f"{place}:1").digest
    tls = ("--src-tls-verify=false", "--dest-tls-verify=false")
    run("skopeo", "copy", "-q", *tls, f"docker://{place}:1", f"docker://{place}-copy:1")
    pulled = pull(other, f"{place}-copy:1", Settings())
    assert pulled.digest == digest
    assert_content(other, pulled.image)
    assert push(other, f"{place}-copy:1", Settings(), target=f"{place}:back").digest == digest


def test_pushed_in_another_compression(
    sources: Callable[[str], ImageStore], registry: RealRegistry, other: ImageStore, tmp_path: Path, run: Run
) -> None:
    store = sources("50000-files")
    place = f"{registry.host}/recompressed"
    digest = push(store, "app:1", Settings(), target=f"{place}:1", compression="gzip").digest
    assert digest != store.image("app:1").manifest_digest
    found = json.loads(run("skopeo", "inspect", "--tls-verify=false", f"docker://{place}:1"))
    assert {layer["MIMEType"] for layer in found["LayersData"]} == {"application/vnd.oci.image.layer.v1.tar+gzip"}
    assert identity(pull(other, f"{place}:1", Settings()).image) == identity(store.image("app:1"))


def test_a_multi_platform_index(
    registry: RealRegistry, store: ImageStore, other: ImageStore, tmp_path: Path, run: Run
) -> None:
    """skopeo copies a whole index to a registry and into an archive; we take each platform out of it, bit for bit."""
    layout = LayoutBuilder()
    machine = json.loads(make_config([]))["architecture"]
    manifests = []
    for number, architecture in enumerate((machine, "s390x")):
        tar = make_tar([("arch", "f", architecture), ("pad", "f", os.urandom(1000 + number))])
        found = layout.manifest([tar], [gzip.compress(tar)], architecture)
        manifests.append({**found, "platform": {"os": "linux", "architecture": architecture}})
    layout.name(layout.index(manifests), "app:1")
    layout.write(tmp_path / "theirs")
    place = f"{registry.host}/multi:1"
    run("skopeo", "copy", "-q", "--all", "--dest-tls-verify=false", f"oci:{tmp_path}/theirs:app:1", f"docker://{place}")
    run("skopeo", "copy", "-q", "--all", "--src-tls-verify=false", f"docker://{place}", f"oci-archive:{tmp_path}/a.tar")
    for number, architecture in enumerate((machine, "s390x")):
        wanted = Platform("linux", architecture)
        pulled = pull(store, place, Settings(), platform=wanted)
        [loaded] = other.load(tmp_path / "a.tar", platform=wanted, reference="app:1")
        assert str(pulled.image.manifest_digest) == str(loaded.manifest_digest) == manifests[number]["digest"]
        target = f"{registry.host}/{architecture}:1"
        assert push(store, place, Settings(), target=target).digest == pulled.image.manifest_digest

"""What else is in archives: attestations and signatures are left out with a note, foreign and encrypted layers are an
error that says so."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from rootlay.store.model.errors import UnsupportedMedia
from rootlay.store.model.manifest import DOCKER_CONFIG, DOCKER_LAYER_GZIP, DOCKER_MANIFEST
from rootlay.store.registry.pull import pull
from rootlay.store.registry.push import push
from rootlay.store.registry.settings import Settings
from rootlay.store.store import ImageStore
from tests.support.archives.make import INDEX, MANIFEST, LayoutBuilder, docker_archive, make_config, make_tar, sha256
from tests.support.registry.fake import FakeRegistry, describe

HTTP = Settings(plain_http=True)

TAR = make_tar([("a", "f", "a")])
BLOB = gzip.compress(TAR)
MACHINE = json.loads(make_config([]))["architecture"]
IN_TOTO = "application/vnd.in-toto+json"
FOREIGN = [
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
]


def artifact(layout: LayoutBuilder, config_type: str) -> dict[str, object]:
    """A manifest of something that is no image; its descriptor."""
    config = layout.blob(b"{}", config_type)
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layout.blob(b"{}", IN_TOTO)]}
    return layout.blob(json.dumps(document).encode(), MANIFEST)


def buildkit(layout: LayoutBuilder) -> dict[str, object]:
    """An index as `buildx build --output type=oci` writes it: an image and an attestation about it."""
    image = {**layout.manifest([TAR], [BLOB]), "platform": {"os": "linux", "architecture": MACHINE}}
    attestation = {
        **artifact(layout, "application/vnd.oci.image.config.v1+json"),
        "annotations": {"vnd.docker.reference.type": "attestation-manifest",
                        "vnd.docker.reference.digest": image["digest"]},
        "platform": {"os": "unknown", "architecture": "unknown"},
    }  # fmt: skip
    return layout.index([image, attestation])


def test_a_buildkit_archive(store: ImageStore, tmp_path: Path) -> None:
    """The names that containerd gives, an attestation beside the image, and one on the top level."""
    layout = LayoutBuilder()
    layout.manifests.append(
        {**buildkit(layout), "annotations": {"io.containerd.image.name": "docker.io/library/app:1",
                                             "org.opencontainers.image.ref.name": "1",
                                             "org.opencontainers.image.created": "2026-01-01T00:00:00Z"}}
    )  # fmt: skip
    (tmp_path / "a.tar").write_bytes(layout.tar())
    notes: list[str] = []
    [image] = store.load(tmp_path / "a.tar", note=notes.append)
    assert image.references == ("app:1",)
    assert str(image.id) == sha256(make_config([TAR]))
    assert notes == []  # a choice among platforms leaves nothing out that anybody would miss


def test_what_is_no_image_is_left_out_with_a_note(store: ImageStore, tmp_path: Path) -> None:
    layout = LayoutBuilder()
    layout.name(artifact(layout, "application/vnd.dev.cosign.artifact.sig.v1+json"), "app:sig")
    layout.name(layout.blob(b"x", "application/vnd.example.unknown"), "app:unknown")
    layout.name({**layout.blob(b"{}", MANIFEST), "platform": {"os": "unknown", "architecture": "unknown"}}, None)
    layout.name(layout.manifest([TAR], [BLOB]), "app:1")
    notes: list[str] = []
    [image] = store.load(layout.write(tmp_path / "d"), note=notes.append)
    assert image.references == ("app:1",)
    assert len(notes) == 3
    for text in ("vnd.example.unknown", "attestation", "cosign"):
        assert sum(text in note for note in notes) == 1, notes


@pytest.mark.parametrize("kind", ["config", "document"])
def test_nothing_but_what_is_no_image_is_an_error(unchanged: ImageStore, tmp_path: Path, kind: str) -> None:
    layout = LayoutBuilder()
    if kind == "config":
        layout.name(artifact(layout, "application/vnd.cncf.helm.config.v1+json"), "chart")
    else:
        layout.name(layout.blob(b"x", "application/vnd.example.helm"), "chart")
    with pytest.raises(UnsupportedMedia, match="helm"):
        unchanged.load(layout.write(tmp_path / "d"))


def with_layer(layout: LayoutBuilder, descriptor: dict[str, object]) -> dict[str, object]:
    """An image of TAR whose layer has this descriptor."""
    config = layout.blob(make_config([TAR]), "application/vnd.oci.image.config.v1+json")
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [descriptor]}
    return layout.blob(json.dumps(document).encode(), MANIFEST)


@pytest.mark.parametrize("media_type", FOREIGN)
def test_a_foreign_layer_that_is_elsewhere(unchanged: ImageStore, tmp_path: Path, media_type: str) -> None:
    layout = LayoutBuilder()
    layout.name(with_layer(layout, {**describe(BLOB, media_type), "urls": ["https://elsewhere.example/layer"]}), "w")
    with pytest.raises(UnsupportedMedia, match=r"foreign.*elsewhere\.example"):
        unchanged.load(layout.write(tmp_path / "d"))


@pytest.mark.parametrize("media_type", FOREIGN)
def test_a_foreign_layer_that_is_here(store: ImageStore, tmp_path: Path, media_type: str) -> None:
    layout = LayoutBuilder()
    layout.name(with_layer(layout, layout.blob(BLOB, media_type)), "w")
    [image] = store.load(layout.write(tmp_path / "d"))
    store.prepare(image)


def test_an_encrypted_layer(unchanged: ImageStore, tmp_path: Path) -> None:
    layout = LayoutBuilder()
    layout.name(
        with_layer(layout, layout.blob(b"secret", "application/vnd.oci.image.layer.v1.tar+gzip+encrypted")), "w"
    )
    with pytest.raises(UnsupportedMedia, match="encrypted"):
        unchanged.load(layout.write(tmp_path / "d"))


def test_foreign_layers_and_registries(store: ImageStore, tmp_path: Path) -> None:
    """A registry that does not have the layer: an error that says why. Ours to push: it stays here."""
    fake = FakeRegistry().start()
    try:
        settings = Settings(plain_http=True)
        config = make_config([TAR])
        layer = {**describe(BLOB, FOREIGN[0]), "urls": ["https://elsewhere.example/layer"]}
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "layers": [layer],
                    "config": describe(config, "application/vnd.oci.image.config.v1+json")}  # fmt: skip
        fake.blobs[sha256(config)] = config
        digest = fake.put("win:1", json.dumps(document).encode(), MANIFEST)
        with pytest.raises(UnsupportedMedia, match="foreign"):
            pull(store, f"{fake.host}/win:1", settings)
        fake.blobs[sha256(BLOB)] = BLOB
        assert str(pull(store, f"{fake.host}/win:1", settings).digest) == digest
        fake.blobs.clear()
        push(store, f"{fake.host}/win:1", settings, target=f"{fake.host}/back:1")
        assert set(fake.blobs) == {sha256(config)}
    finally:
        fake.stop()


def test_an_attestation_is_never_the_image(store: ImageStore, tmp_path: Path) -> None:
    """An index of a registry whose only manifest without a platform is an attestation."""
    fake = FakeRegistry().start()
    try:
        layout = LayoutBuilder()
        index = buildkit(layout)
        for path, data in layout.files.items():
            fake.blobs["sha256:" + path.rpartition("/")[2]] = data
        for entry in json.loads(fake.blobs[str(index["digest"])])["manifests"]:
            fake.put(f"app:{entry['digest']}", fake.blobs[entry["digest"]], MANIFEST)
        fake.put("app:1", fake.blobs[str(index["digest"])], INDEX)
        assert str(pull(store, f"{fake.host}/app:1", Settings(plain_http=True)).image.id) == sha256(make_config([TAR]))
    finally:
        fake.stop()


@pytest.mark.parametrize("manifests", [None, [], [{"mediaType": MANIFEST, "digest": f"sha256:{'0' * 64}", "size": 7}]])
def test_an_index_that_docker_does_not_read(store: ImageStore, tmp_path: Path, manifests: object) -> None:
    """docker 26 loads such an archive by its manifest.json."""
    archive = io.BytesIO(docker_archive([([make_tar([("f", "f", "x")])], ["app:1"])]))
    with tarfile.open(fileobj=archive, mode="a") as tar:
        index = {"schemaVersion": 2, "manifests": manifests}
        for name, document in (("index.json", index), ("oci-layout", {"imageLayoutVersion": "1.0.0"})):
            data = json.dumps(document).encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    (tmp_path / "a.tar").write_bytes(archive.getvalue())
    assert [image.references for image in store.load(tmp_path / "a.tar")] == [("app:1",)]


def test_pushed_with_dockers_manifest(store: ImageStore, tmp_path: Path, fake: FakeRegistry) -> None:
    (tmp_path / "a.tar").write_bytes(docker_archive([([make_tar([("f", "f", "x")])], ["app:1"])]))
    store.load(tmp_path / "a.tar")
    digest = push(store, "app:1", HTTP, target=f"{fake.host}/app:1", manifest_format="docker").digest
    pulled = pull(store, f"{fake.host}/app:1", HTTP).image
    assert pulled.manifest_digest == digest
    types = [pulled.manifest.media_type, pulled.manifest.config.media_type, pulled.manifest.layers[0].media_type]
    assert types == [DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER_GZIP]
    assert pulled.id == store.image("app:1").id
    with pytest.raises(UnsupportedMedia, match="zstd"):
        push(store, "app:1", HTTP, target=f"{fake.host}/x:1", manifest_format="docker", compression="zstd")

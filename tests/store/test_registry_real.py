"""Against docker-registry: what is on the wire is read from the registry's own log. skopeo is the other client."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootlay.store.registry.credential import Credential
from rootlay.store.registry.errors import AccessDenied, BadRegistryAnswer, NotInRegistry, RegistryUnreachable
from rootlay.store.registry.login import login, logout
from rootlay.store.registry.pull import Pulled, pull
from rootlay.store.registry.push import push
from rootlay.store.registry.retry import RetryRules
from rootlay.store.registry.settings import Settings
from rootlay.store.store import ImageStore
from tests.support.archives.make import LayoutBuilder, make_tar
from tests.support.registry.real import PASSWORD, USER, RealRegistry, need, running

pytestmark = pytest.mark.oracles

FAST = RetryRules(attempts=8, first_wait_s=0.05)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    with running(tmp_path_factory.mktemp("registry") / "r") as found:
        yield found


def layers(count: int, seed: str = "", size: int = 3000) -> tuple[list[bytes], list[bytes]]:
    """Tars, and their gzip forms. The content does not compress."""
    tars = [make_tar([(f"file{seed}{n}", "f", os.urandom(size)), ("dir", "d", None)]) for n in range(count)]
    return tars, [gzip.compress(tar) for tar in tars]


def load(store: ImageStore, tmp_path: Path, name: str, *images: tuple[list[bytes], list[bytes]]) -> None:
    """Images into a store under `name`, `name-1`, …"""
    builder = LayoutBuilder()
    for number, (tars, blobs) in enumerate(images):
        builder.name(builder.manifest(tars, blobs), name + (f"-{number}" if number else ""))
    archive = tmp_path / "image.tar"
    archive.write_bytes(builder.tar())
    store.load(archive)


def same(pulled: Pulled, store: ImageStore, name: str) -> bool:
    """Whether the pulled image is the one of that name, bit for bit."""
    image = store.image(name)
    return (pulled.image.id, pulled.image.manifest_digest) == (image.id, image.manifest_digest)


def test_push_and_pull_are_bit_exact_and_the_second_time_nothing_moves(
    registry: RealRegistry, store: ImageStore, other: ImageStore, tmp_path: Path
) -> None:
    name = f"{registry.host}/team/app:1"
    load(store, tmp_path, name, layers(4))
    done = push(store, name, Settings())
    assert done.sent_blobs == 5
    mark = registry.seen
    assert push(store, name, Settings()).sent_blobs == 0
    assert {e.method for e in registry.exchanges(mark)} == {"HEAD", "PUT"}
    pulled = pull(other, name, Settings())
    assert same(pulled, store, name)
    assert pulled.fetched_layers == 4
    mark = registry.seen
    assert pull(other, name, Settings()).fetched_layers == 0
    assert [(e.method, e.status) for e in registry.exchanges(mark)] == [("HEAD", 200)]


def test_of_a_child_image_only_the_top_layer_is_on_the_wire(
    registry: RealRegistry, store: ImageStore, other: ImageStore, tmp_path: Path
) -> None:
    tars, blobs = layers(4)
    name = f"{registry.host}/family:1"
    load(store, tmp_path, name, (tars[:3], blobs[:3]), (tars, blobs))
    push(store, name, Settings())
    mark = registry.seen
    assert push(store, f"{name}-1", Settings()).sent_blobs == 2  # the top layer and the config
    assert len([e for e in registry.exchanges(mark) if e.method == "POST"]) == 2
    pull(other, name, Settings())
    mark = registry.seen
    pulled = pull(other, f"{name}-1", Settings())
    fetched = registry.blobs_fetched(mark)
    config = store.image(f"{name}-1").manifest.config
    assert sorted(e.bytes for e in fetched) == sorted([len(blobs[3]), config.size])
    assert (pulled.fetched_layers, pulled.fetched_bytes) == (1, len(blobs[3]))


def test_blobs_of_a_neighbour_are_mounted(registry: RealRegistry, store: ImageStore, tmp_path: Path) -> None:
    name = f"{registry.host}/one/app:1"
    load(store, tmp_path, name, layers(2))
    push(store, name, Settings())
    store.tag(name, f"{registry.host}/two/app:1")
    mark = registry.seen
    assert push(store, f"{registry.host}/two/app:1", Settings()).sent_blobs == 0
    posts = [e for e in registry.exchanges(mark) if e.method == "POST"]
    assert [e.status for e in posts] == [201, 201, 201]


def test_an_upload_in_many_chunks(registry: RealRegistry, store: ImageStore, other: ImageStore, tmp_path: Path) -> None:
    name = f"{registry.host}/chunks:1"
    load(store, tmp_path, name, layers(1, size=1_000_000))
    mark = registry.seen
    push(store, name, Settings(upload_chunk_bytes=300_000))
    assert len([e for e in registry.exchanges(mark) if e.method == "PATCH" and e.status == 202]) == 4
    assert same(pull(other, name, Settings()), store, name)


def test_pull_by_digest_and_by_short_forms(
    registry: RealRegistry, store: ImageStore, other: ImageStore, tmp_path: Path
) -> None:
    name = f"{registry.host}/digest"
    load(store, tmp_path, f"{name}:latest", layers(1))
    digest = push(store, name, Settings()).digest
    pulled = pull(other, f"{name}@{digest}", Settings())
    assert pulled.image.references == (f"{name}@{digest}",)
    assert other.image(f"{name}@{digest}").id == pulled.image.id
    assert pull(other, name, Settings()).fetched_layers == 0
    assert other.image(name).references == (f"{name}:latest", f"{name}@{digest}")
    other.remove(f"{name}@{digest}")
    assert other.image(name).references == (f"{name}:latest",)


def test_what_is_not_there(registry: RealRegistry, other: ImageStore) -> None:
    with pytest.raises(NotInRegistry, match="nothing:9"):
        pull(other, f"{registry.host}/nothing:9", Settings())
    assert other.images() == []


def test_the_registry_is_killed_in_the_middle_of_a_blob(store: ImageStore, other: ImageStore, tmp_path: Path) -> None:
    with running(tmp_path / "r") as registry:
        name = f"{registry.host}/big:1"
        load(store, tmp_path, name, layers(1, size=40_000_000))
        push(store, name, Settings())
        mark = registry.seen
        killed: list[int] = []

        def progress(done_bytes: int, total_bytes: int | None, label: str) -> None:
            if done_bytes > 5_000_000 and not killed:
                killed.append(done_bytes)
                registry.kill()
                registry.start()

        pulled = pull(other, name, Settings(retry=FAST), progress=progress)
        assert killed
        assert same(pulled, store, name)
        assert [e.status for e in registry.blobs_fetched(mark)][-1] == 206  # the killed one wrote no log line


def test_the_registry_is_killed_in_the_middle_of_an_upload(
    store: ImageStore, other: ImageStore, tmp_path: Path
) -> None:
    with running(tmp_path / "r") as registry:
        name = f"{registry.host}/big:1"
        load(store, tmp_path, name, layers(1, size=40_000_000))
        killed: list[int] = []

        def progress(done_bytes: int, total_bytes: int | None, label: str) -> None:
            if done_bytes > 25_000_000 and not killed:
                killed.append(done_bytes)
                registry.kill()
                registry.start()

        push(store, name, Settings(retry=FAST, upload_chunk_bytes=10_000_000), progress=progress)
        assert killed
        assert same(pull(other, name, Settings()), store, name)


def test_logins(store: ImageStore, other: ImageStore, tmp_path: Path) -> None:
    with running(tmp_path / "r", login=True) as registry:
        settings = Settings(docker_config=tmp_path / "docker" / "config.json")
        name = f"{registry.host}/private:1"
        load(store, tmp_path, name, layers(2))
        with pytest.raises(AccessDenied, match="rootlay login"):
            push(store, name, settings)
        with pytest.raises(AccessDenied, match="wrong") as caught:
            login(registry.host, Credential(USER, "not the password"), settings)
        assert "not the password" not in repr(caught.value)
        assert settings.docker_config is not None
        assert not settings.docker_config.exists()
        login(registry.host, Credential(USER, PASSWORD), settings)
        assert settings.docker_config.stat().st_mode & 0o777 == 0o600
        assert push(store, name, settings).sent_blobs == 3
        assert same(pull(other, name, settings), store, name)
        assert logout(registry.host, settings)
        assert not logout(registry.host, settings)
        with pytest.raises(AccessDenied):
            pull(other, name, settings)


def test_tls_from_a_ca_of_our_own(store: ImageStore, other: ImageStore, tmp_path: Path) -> None:
    with running(tmp_path / "r", tls=True, login=True) as registry:
        settings = Settings(docker_config=tmp_path / "config.json", ca_file=registry.ca)
        login(registry.host, Credential(USER, PASSWORD), settings)
        name = f"{registry.host}/tls:1"
        load(store, tmp_path, name, layers(1))
        push(store, name, settings)
        assert same(pull(other, name, settings), store, name)
        with pytest.raises(RegistryUnreachable, match="--cacert") as caught:
            pull(other, name, Settings(docker_config=settings.docker_config))
        assert not caught.value.passing
        not_pem = tmp_path / "not.pem"
        not_pem.write_text("nothing")
        with pytest.raises(RegistryUnreachable, match="PEM"):
            pull(other, name, Settings(ca_file=not_pem))


def test_a_password_goes_to_no_token_server_without_tls(other: ImageStore, tmp_path: Path) -> None:
    with running(tmp_path / "r", tls=True, realm="http://127.0.0.1:1/token") as registry:
        settings = Settings(docker_config=tmp_path / "config.json", ca_file=registry.ca)
        with pytest.raises(BadRegistryAnswer, match="has no TLS"):
            login(registry.host, Credential(USER, PASSWORD), settings)


def skopeo(tmp_path: Path, *words: str) -> str:
    command = [need("skopeo"), "--insecure-policy", "--tmpdir", str(tmp_path), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_skopeo_reads_what_we_push(registry: RealRegistry, store: ImageStore, tmp_path: Path) -> None:
    name = f"{registry.host}/for-skopeo:1"
    load(store, tmp_path, name, layers(3))
    digest = push(store, name, Settings()).digest
    found = json.loads(skopeo(tmp_path, "inspect", "--tls-verify=false", f"docker://{name}"))
    assert found["Digest"] == str(digest)
    skopeo(tmp_path, "copy", "-q", "--src-tls-verify=false", f"docker://{name}", f"dir:{tmp_path}/dir")
    assert (tmp_path / "dir" / "manifest.json").read_bytes() == store.layout.read_blob(digest)


def test_we_read_what_skopeo_pushes(
    registry: RealRegistry, store: ImageStore, other: ImageStore, tmp_path: Path
) -> None:
    name = f"{registry.host}/by-skopeo:1"
    load(store, tmp_path, "local", layers(3))
    source = f"oci:{store.root}:local:latest"
    skopeo(tmp_path, "copy", "-q", "--dest-tls-verify=false", source, f"docker://{name}")
    assert same(pull(other, name, Settings()), store, "local")
    # And as a Docker V2 image, which is another manifest of the same layers.
    v2 = f"{registry.host}/by-skopeo:v2"
    skopeo(tmp_path, "copy", "-q", "--dest-tls-verify=false", "--format", "v2s2", source, f"docker://{v2}")
    pulled = pull(other, v2, Settings())
    assert pulled.fetched_layers == 0
    assert pulled.image.manifest.media_type == "application/vnd.docker.distribution.manifest.v2+json"
    found = json.loads(skopeo(tmp_path, "inspect", "--tls-verify=false", f"docker://{v2}"))
    assert found["Digest"] == str(pulled.digest)
    # What was pulled goes back bit for bit.
    assert str(push(other, v2, Settings(), target=f"{registry.host}/back:1").digest) == found["Digest"]

"""Multi-platform images through registries and real tools, both ways: one digest all the way, nothing lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootlay.store.model.errors import NotFetched, WrongPlatform
from rootlay.store.model.manifest import Platform
from rootlay.store.registry.pull import pull
from rootlay.store.registry.push import push
from rootlay.store.registry.settings import Settings
from rootlay.store.store import ImageStore
from tests.support.archives.exchange import Run, assert_content
from tests.support.archives.make import LayoutBuilder, sha256
from tests.support.archives.multi import HERE, OTHER, serve, several
from tests.support.registry.fake import FakeRegistry
from tests.support.registry.real import RealRegistry, running

HTTP = Settings(plain_http=True)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    with running(tmp_path_factory.mktemp("registry") / "r") as found:
        yield found


def blobs_of(root: Path) -> dict[str, bytes]:
    return {f"sha256:{path.name}": path.read_bytes() for path in (root / "blobs/sha256").iterdir()}


def expected(layout: LayoutBuilder) -> dict[str, bytes]:
    return {sha256(data): data for path, data in layout.files.items() if path.startswith("blobs/")}


def test_pull_of_all_platforms(fake: FakeRegistry, store: ImageStore) -> None:
    layout = LayoutBuilder()
    top = several(layout)
    name = f"{fake.host}/several:1"
    serve(fake, layout, "several:1", top)
    found = pull(store, name, HTTP, all_platforms=True)
    assert str(found.digest) == top["digest"]
    assert blobs_of(store.root) == expected(layout)
    assert (found.image.config.architecture, found.fetched_layers) == (HERE, 2)
    fake.seen.clear()
    again = pull(store, name, HTTP, all_platforms=True)
    assert (again.fetched_layers, again.fetched_bytes) == (0, 0)
    assert fake.count("GET", "/blobs/") == 0
    assert fake.count("GET", "/manifests/") == 1  # the index: what it lists is here


def test_a_pull_of_one_platform_keeps_the_index_that_is_here(fake: FakeRegistry, store: ImageStore) -> None:
    """As long as the tag still points to it: each platform is there, and nothing is fetched."""
    layout = LayoutBuilder()
    serve(fake, layout, "several:1", several(layout))
    name = f"{fake.host}/several:1"
    pull(store, name, HTTP, all_platforms=True)
    fake.seen.clear()
    for architecture in (HERE, OTHER):
        found = pull(store, name, HTTP, platform=Platform("linux", architecture))
        assert found.image.config.architecture == architecture
        assert store.image(name).index is not None
    assert fake.count("GET", "/(blobs|manifests)/") == 0
    with pytest.raises(WrongPlatform):
        pull(store, name, HTTP, platform=Platform("linux", "riscv64"))


def test_the_image_for_one_platform_becomes_the_whole(fake: FakeRegistry, store: ImageStore) -> None:
    layout = LayoutBuilder()
    serve(fake, layout, "several:1", several(layout))
    name = f"{fake.host}/several:1"
    first = pull(store, name, HTTP)
    assert first.image.index is None
    found = pull(store, name, HTTP, all_platforms=True)
    assert (found.image.manifest_digest, found.fetched_layers) == (first.image.manifest_digest, 1)


def test_an_image_without_an_index(fake: FakeRegistry, store: ImageStore) -> None:
    found = pull(store, f"{fake.host}/app:1", HTTP, all_platforms=True)
    assert found.image.index is None
    assert_content(store, found.image)


def test_push_sends_the_documents_after_their_blobs(fake: FakeRegistry, store: ImageStore, tmp_path: Path) -> None:
    """Children before the index, the tag last: whoever looks meanwhile never finds half of it."""
    layout = LayoutBuilder()
    top = several(layout)
    layout.name(top, "several:1")
    store.load(layout.write(tmp_path / "theirs"))
    pushed = push(store, "several:1", HTTP, target=f"{fake.host}/there:1")
    assert str(pushed.digest) == top["digest"]
    assert fake.manifests["there:1"][1] == expected(layout)[str(top["digest"])]
    writes = [seen.path.rpartition("/")[2] for seen in fake.seen if seen.method in ("PUT", "PATCH", "POST")]
    documents = [child["digest"] for child in json.loads(fake.manifests["there:1"][1])["manifests"]]
    assert writes[-len(documents) - 1 :] == [*documents, "1"]
    again = push(store, "several:1", HTTP, target=f"{fake.host}/there:2")
    assert (again.sent_blobs, again.digest) == (0, pushed.digest)
    one = push(store, "several:1", HTTP, target=f"{fake.host}/one:1", platform=Platform("linux", OTHER))
    assert one.digest == store.image("several:1", Platform("linux", OTHER)).manifest_digest
    anew = push(store, "several:1", HTTP, target=f"{fake.host}/zstd:1", compression="zstd")
    assert fake.manifests["zstd:1"][0] == "application/vnd.oci.image.manifest.v1+json"
    assert anew.digest != pushed.digest


def test_what_is_not_all_here_is_not_pushed(fake: FakeRegistry, store: ImageStore, tmp_path: Path) -> None:
    layout = LayoutBuilder()
    layout.name(several(layout), "several:1")
    store.load(layout.write(tmp_path / "theirs"))
    gone = store.image("several:1", Platform("linux", OTHER)).manifest.layers[0].digest
    store.layout.blob_path(gone).unlink()
    fake.seen.clear()
    with pytest.raises(Exception, match="missing") as caught:
        push(store, "several:1", HTTP, target=f"{fake.host}/there:1")
    assert not isinstance(caught.value, NotFetched)
    assert fake.seen == []


def test_skopeo_and_a_registry_both_ways(
    registry: RealRegistry, store: ImageStore, other: ImageStore, tmp_path: Path, run: Run
) -> None:
    """skopeo -> registry -> us -> registry -> skopeo -> us: every document and blob, bit for bit."""
    layout = LayoutBuilder()
    top = several(layout)
    layout.name(top, "app:1")
    layout.write(tmp_path / "theirs")
    place = f"{registry.host}/several:1"
    tls = ("--all", "--preserve-digests")
    run("skopeo", "copy", "-q", *tls, "--dest-tls-verify=false", f"oci:{tmp_path}/theirs:app:1", f"docker://{place}")
    pulled = pull(store, place, Settings(), all_platforms=True)
    assert str(pulled.digest) == top["digest"]
    assert blobs_of(store.root) == expected(layout)
    back = f"{registry.host}/back:1"
    assert push(store, place, Settings(), target=back).digest == pulled.digest
    run("skopeo", "copy", "-q", *tls, "--src-tls-verify=false", f"docker://{back}", f"oci-archive:{tmp_path}/b.tar:x:1")
    [loaded] = other.load(tmp_path / "b.tar")
    assert str(loaded.entry.digest) == top["digest"]
    assert blobs_of(other.root) == expected(layout)
    # and what we save, and our store itself, skopeo reads
    [name] = loaded.references
    other.save([name], tmp_path / "ours.tar", "oci-archive")
    for source in (f"oci-archive:{tmp_path}/ours.tar:{name}", f"oci:{other.root}:{name}"):
        run("skopeo", "copy", "-q", *tls, source, f"dir:{tmp_path}/read")  # it verifies each digest
        assert sha256((tmp_path / "read/manifest.json").read_bytes()) == top["digest"]


def test_skopeo_writes_into_the_store(store: ImageStore, tmp_path: Path, run: Run) -> None:
    layout = LayoutBuilder()
    layout.name(several(layout), "app:1")
    layout.write(tmp_path / "theirs")
    run("skopeo", "copy", "-q", "--all", f"oci:{tmp_path}/theirs:app:1", f"oci:{store.root}:app:1")
    assert store.image("app:1").config.architecture == HERE
    assert_content(store, store.image("app:1"))

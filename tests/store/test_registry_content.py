"""A registry with wrong content: nothing of it is stored. And several platforms, one of which is taken."""

from __future__ import annotations

import gzip
import json
import os
import time

import pytest

from rootlay.store.model.errors import BadManifest, DigestMismatch, RootlayError, UnsupportedMedia, WrongPlatform
from rootlay.store.model.manifest import Platform
from rootlay.store.model.platform import host_platform
from rootlay.store.model.reference import Reference
from rootlay.store.registry.errors import BadRegistryAnswer
from rootlay.store.registry.pull import pull
from rootlay.store.registry.repository import Repository
from rootlay.store.registry.session import Session
from rootlay.store.registry.settings import Settings
from rootlay.store.store import ImageStore
from tests.support.archives.make import INDEX, make_tar, sha256
from tests.support.registry.fake import FakeRegistry, Handler, Seen
from tests.support.registry.faulty import BLOB, DIGEST, TAR, is_blob, rejected


@pytest.mark.parametrize("length", [len(BLOB) - 10, len(BLOB) + 10, 0], ids=["less", "more", "nothing"])
def test_a_wrong_length(fake: FakeRegistry, store: ImageStore, settings: Settings, length: int) -> None:
    fake.blobs[DIGEST] = (BLOB + bytes(10))[:length]
    rejected(store, f"{fake.host}/app:1", settings, DigestMismatch, "size")


def test_wrong_content(fake: FakeRegistry, store: ImageStore, settings: Settings) -> None:
    fake.blobs[DIGEST] = BLOB[:-9] + bytes([BLOB[-9] ^ 1]) + BLOB[-8:]
    rejected(store, f"{fake.host}/app:1", settings, DigestMismatch, DIGEST[:20])


def test_the_content_of_another_layer(fake: FakeRegistry, store: ImageStore, settings: Settings) -> None:
    other = gzip.compress(make_tar([("evil", "f", os.urandom(3_000_000))]), 0)
    fake.blobs[DIGEST] = (other + bytes(len(BLOB)))[: len(BLOB)]
    rejected(store, f"{fake.host}/app:1", settings, DigestMismatch)


def test_one_bad_layer_takes_the_good_ones_along(fake: FakeRegistry, store: ImageStore, settings: Settings) -> None:
    good = make_tar([("good", "f", "y")])
    fake.add("mixed:1", [good, TAR], [gzip.compress(good), BLOB])
    fake.blobs[DIGEST] = BLOB[:-9] + bytes([BLOB[-9] ^ 1]) + BLOB[-8:]
    rejected(store, f"{fake.host}/mixed:1", settings, DigestMismatch)


def test_a_wrong_config(fake: FakeRegistry, store: ImageStore, settings: Settings) -> None:
    config = json.loads(fake.manifests["app:1"][1])["config"]["digest"]
    fake.blobs[config] = fake.blobs[config].replace(b"A=b", b"A=c")
    rejected(store, f"{fake.host}/app:1", settings, DigestMismatch, "config")


def test_a_manifest_that_is_not_what_was_asked_for(fake: FakeRegistry, store: ImageStore, settings: Settings) -> None:
    digest = "sha256:" + "0" * 64
    fake.manifests[f"app:{digest}"] = fake.manifests["app:1"]
    rejected(store, f"{fake.host}/app@{digest}", settings, DigestMismatch, "manifest")


def test_an_endless_body(fake: FakeRegistry, store: ImageStore, settings: Settings) -> None:
    def hook(handler: Handler, seen: Seen) -> bool:
        if not is_blob(seen):
            return False
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        piece = b"10000\r\n" + bytes(65536) + b"\r\n"
        try:
            for _ in range(100_000):
                handler.wfile.write(piece)
        except OSError:
            handler.close_connection = True
        return True

    fake.hook = hook
    rejected(store, f"{fake.host}/app:1", settings, RootlayError)
    time.sleep(0.1)
    assert fake.count("GET", DIGEST) == 1


@pytest.mark.parametrize("chunked", [False, True])
def test_a_huge_manifest(fake: FakeRegistry, store: ImageStore, settings: Settings, chunked: bool) -> None:
    def hook(handler: Handler, seen: Seen) -> bool:
        handler.send_response(200)
        if chunked:
            handler.send_header("Transfer-Encoding", "chunked")
        else:
            handler.send_header("Content-Length", str(1 << 40))
        handler.end_headers()
        piece = (b"10000\r\n" if chunked else b"") + bytes(65536) + (b"\r\n" if chunked else b"")
        try:
            for _ in range(100_000):
                handler.wfile.write(piece)
        except OSError:
            handler.close_connection = True
        return True

    fake.hook = hook
    rejected(store, f"{fake.host}/app:1", settings, BadRegistryAnswer, "longer than")


@pytest.mark.parametrize(
    ("media_type", "document", "error"),
    [
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", {"schemaVersion": 1}, UnsupportedMedia),
        ("application/vnd.example", {"schemaVersion": 2, "mediaType": "application/vnd.example"}, UnsupportedMedia),
        (INDEX, {"schemaVersion": 2, "layers": [], "mediaType": INDEX}, BadManifest),
        ("text/html", {}, BadManifest),
    ],
)
def test_what_is_no_image(
    fake: FakeRegistry, store: ImageStore, settings: Settings, media_type: str, document: dict[str, object], error: type
) -> None:
    fake.put("odd:1", json.dumps(document).encode(), media_type)
    rejected(store, f"{fake.host}/odd:1", settings, error)


@pytest.mark.parametrize("all_platforms", [False, True])
@pytest.mark.parametrize("off", [-1, 1])
def test_a_manifest_of_another_size_than_its_index_says(
    fake: FakeRegistry, store: ImageStore, settings: Settings, off: int, all_platforms: bool
) -> None:
    kind, data = fake.manifests["app:1"]
    platform = {"os": "linux", "architecture": host_platform().architecture}
    inner = {"mediaType": kind, "digest": sha256(data), "size": len(data) + off, "platform": platform}
    fake.put("app:multi", json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [inner]}).encode(), INDEX)
    with pytest.raises(DigestMismatch, match=rf"size: expected {len(data) + off}, found {len(data)}:"):
        pull(store, f"{fake.host}/app:multi", settings, all_platforms=all_platforms)
    assert store.images() == []


def test_all_pages_of_the_list_of_tags(fake: FakeRegistry, settings: Settings) -> None:
    def hook(handler: Handler, seen: Seen) -> bool:
        if "/tags/list" not in seen.path:
            return False
        page = int(seen.path.partition("last=")[2] or 0)
        link = {"Link": f'<?last={page + 1}>; rel="next"'} if page < 3 else {}
        handler.reply(200, json.dumps({"name": "app", "tags": [f"t{page}", "same"]}).encode(), **link)
        return True

    fake.hook = hook
    name = Reference.parse(f"{fake.host}/app")
    with Session(settings, name.domain) as session:
        assert Repository(session, name).list_tags() == ["t0", "same", "t1", "t2", "t3"]


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("<http://127.0.0.2:9/v2/app/tags/list>; rel=next", "next page is elsewhere"),
        ("</v2/app/tags/list>; rel=next", "more than 1000 pages"),
        ("<file:///etc/passwd>; rel=next", "not an http or https URL"),
    ],
)
def test_a_list_of_tags_that_leads_away_or_nowhere(
    fake: FakeRegistry, settings: Settings, link: str, said: str
) -> None:
    fake.hook = lambda handler, seen: "tags" in seen.path and (handler.reply(200, b'{"tags": []}', Link=link) or True)
    name = Reference.parse(f"{fake.host}/app")
    with Session(settings, name.domain) as session, pytest.raises(BadRegistryAnswer, match=said):
        Repository(session, name).list_tags()


def test_the_manifest_of_a_platform(fake: FakeRegistry, store: ImageStore, settings: Settings) -> None:
    manifests = []
    for architecture in ("amd64", "arm64"):
        tar = make_tar([("arch", "f", architecture)])
        digest = fake.add(f"multi:{architecture}", [tar], [gzip.compress(tar)], architecture)
        size = len(fake.manifests[f"multi:{architecture}"][1])
        platform = {"os": "linux", "architecture": architecture}
        kind = fake.manifests[f"multi:{architecture}"][0]
        manifests.append({"mediaType": kind, "digest": digest, "size": size, "platform": platform})
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()
    top = fake.put("multi:1", index, INDEX)
    name = f"{fake.host}/multi:1"
    pulled = pull(store, name, settings, platform=Platform("linux", "arm64"))
    assert pulled.image.config.architecture == "arm64"
    assert str(pulled.digest) == top
    assert str(pulled.image.manifest_digest) == manifests[1]["digest"]
    assert pull(store, name, settings, platform=Platform("linux", "arm64")).fetched_layers == 0
    by_digest = pull(store, f"{fake.host}/multi@{top}", settings, platform=Platform("linux", "arm64"))
    assert store.image(f"{fake.host}/multi@{top}").id == by_digest.image.id
    with pytest.raises(WrongPlatform, match="linux/arm64"):
        pull(store, name, settings, platform=Platform("linux", "riscv64"))

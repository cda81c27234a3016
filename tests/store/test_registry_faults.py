"""Against a registry that misbehaves: nothing bad is stored, no credential goes astray, what can be resumed is."""

from __future__ import annotations

import base64
import gzip
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_fake import FakeRegistry, Handler, Seen
from store_archives import INDEX, make_tar, sha256, snapshot

from rootlay.store.errors import BadManifest, DigestMismatch, StoreError, UnsupportedMedia, WrongPlatform
from rootlay.store.manifest import Platform
from rootlay.store.registry.errors import (
    AccessDenied,
    BadRegistryAnswer,
    NotInRegistry,
    RegistryRefused,
    RegistryUnreachable,
)
from rootlay.store.registry.pull import pull
from rootlay.store.registry.push import push
from rootlay.store.registry.retry import RetryRules
from rootlay.store.registry.settings import Settings
from rootlay.store.store import Store

TAR = make_tar([("big", "f", os.urandom(3_000_000)), ("small", "f", "x")])
BLOB = gzip.compress(TAR, 1)
DIGEST = sha256(BLOB)
SECRET = "s3cr3t-pass"


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    found = FakeRegistry().start()
    found.add("app:1", [TAR], [BLOB])
    yield found
    found.stop()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        docker_config=tmp_path / "config.json", plain_http=True, retry=RetryRules(4, 0.02, 0.05), read_timeout_s=5
    )


def with_login(settings: Settings, host: str) -> Settings:
    """The settings of somebody who is logged in."""
    assert settings.docker_config is not None
    auth = base64.b64encode(f"alice:{SECRET}".encode()).decode()
    settings.docker_config.write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    return settings


def rejected(
    store: Store, reference: str, settings: Settings, error: type[StoreError], match: str | None = None
) -> StoreError:
    """Pull what must fail with nothing stored."""
    before = snapshot(store.root)
    with pytest.raises(error, match=match) as caught:
        pull(store, reference, settings)
    assert snapshot(store.root) == before
    assert not list((store.root / "tmp").iterdir())
    assert not list(store.layout.layers.iterdir())
    return caught.value


def is_blob(seen: Seen) -> bool:
    return seen.method == "GET" and seen.path.endswith(DIGEST)


def test_a_cut_is_resumed_where_it_was(fake: FakeRegistry, store: Store, settings: Settings) -> None:
    cuts = [100_000, 1_000_000]  # after so many bytes of the answer

    def hook(handler: Handler, seen: Seen) -> bool:
        if not is_blob(seen) or not cuts:
            return False
        start = int(seen.headers.get("range", "bytes=0-")[6:-1])
        more = {"Content-Range": f"bytes {start}-{len(BLOB) - 1}/{len(BLOB)}"} if start else {}
        handler.send_response(206 if start else 200)
        for name, text in {"Content-Length": str(len(BLOB) - start), **more}.items():
            handler.send_header(name, text)
        handler.end_headers()
        handler.wfile.write(BLOB[start : start + cuts.pop(0)])
        handler.cut()
        return True

    fake.hook = hook
    assert pull(store, f"{fake.host}/app:1", settings).fetched_bytes == len(BLOB)
    ranges = [seen.headers.get("range") for seen in fake.seen if is_blob(seen)]
    assert ranges == [None, "bytes=100000-", "bytes=1100000-"]


def test_a_server_that_is_away_for_a_while(fake: FakeRegistry, store: Store, settings: Settings) -> None:
    down = []

    def hook(handler: Handler, seen: Seen) -> bool:
        if not is_blob(seen) or down:
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BLOB)))
        handler.end_headers()
        handler.wfile.write(BLOB[:500_000])
        down.append(threading.Timer(0.3, fake.start))
        threading.Thread(target=fake.stop).start()
        time.sleep(0.1)
        down[0].start()
        handler.cut()
        return True

    fake.hook = hook
    patient = Settings(plain_http=True, retry=RetryRules(12, 0.05, 0.1))
    assert pull(store, f"{fake.host}/app:1", patient).fetched_layers == 1
    down[0].join()


def test_a_server_without_ranges_is_read_again(fake: FakeRegistry, store: Store, settings: Settings) -> None:
    def hook(handler: Handler, seen: Seen) -> bool:
        if not is_blob(seen):
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BLOB)))
        handler.end_headers()
        if "range" in seen.headers:
            handler.wfile.write(BLOB)
        else:
            handler.wfile.write(BLOB[:700_000])
            handler.cut()
        return True

    fake.hook = hook
    assert pull(store, f"{fake.host}/app:1", settings).fetched_bytes == len(BLOB)


def test_a_server_that_always_cuts_gives_an_error(fake: FakeRegistry, store: Store, settings: Settings) -> None:
    def hook(handler: Handler, seen: Seen) -> bool:
        if not is_blob(seen):
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BLOB)))
        handler.end_headers()
        handler.cut()
        return True

    fake.hook = hook
    rejected(store, f"{fake.host}/app:1", settings, RegistryUnreachable, "cut")
    assert fake.count("GET", DIGEST) == settings.retry.attempts


def test_after_a_cut_for_good_the_next_pull_goes_on(fake: FakeRegistry, store: Store, settings: Settings) -> None:
    small = make_tar([("other", "f", "y")])
    blob = gzip.compress(small)
    fake.add("two:1", [small, TAR], [blob, BLOB])

    def hook(handler: Handler, seen: Seen) -> bool:
        if is_blob(seen):
            handler.cut()
        return is_blob(seen)

    fake.hook = hook
    one = Settings(plain_http=True, retry=settings.retry, parallel=1)
    with pytest.raises(RegistryUnreachable):
        pull(store, f"{fake.host}/two:1", one)
    assert store.images() == []
    fake.hook = None
    assert pull(store, f"{fake.host}/two:1", one).fetched_layers == 1
    assert fake.count("GET", sha256(blob)) == 1


@pytest.mark.parametrize("length", [len(BLOB) - 10, len(BLOB) + 10, 0])
def test_a_wrong_length(fake: FakeRegistry, store: Store, settings: Settings, length: int) -> None:
    fake.blobs[DIGEST] = (BLOB + bytes(10))[:length]
    rejected(store, f"{fake.host}/app:1", settings, DigestMismatch, "size")


def test_wrong_content(fake: FakeRegistry, store: Store, settings: Settings) -> None:
    fake.blobs[DIGEST] = BLOB[:-9] + bytes([BLOB[-9] ^ 1]) + BLOB[-8:]
    rejected(store, f"{fake.host}/app:1", settings, DigestMismatch, DIGEST[:20])


def test_the_content_of_another_layer(fake: FakeRegistry, store: Store, settings: Settings) -> None:
    other = gzip.compress(make_tar([("evil", "f", os.urandom(3_000_000))]), 0)
    fake.blobs[DIGEST] = (other + bytes(len(BLOB)))[: len(BLOB)]
    rejected(store, f"{fake.host}/app:1", settings, DigestMismatch)


def test_one_bad_layer_takes_the_good_ones_along(fake: FakeRegistry, store: Store, settings: Settings) -> None:
    good = make_tar([("good", "f", "y")])
    fake.add("mixed:1", [good, TAR], [gzip.compress(good), BLOB])
    fake.blobs[DIGEST] = BLOB[:-9] + bytes([BLOB[-9] ^ 1]) + BLOB[-8:]
    rejected(store, f"{fake.host}/mixed:1", settings, DigestMismatch)


def test_a_wrong_config(fake: FakeRegistry, store: Store, settings: Settings) -> None:
    config = json.loads(fake.manifests["app:1"][1])["config"]["digest"]
    fake.blobs[config] = fake.blobs[config].replace(b"A=b", b"A=c")
    rejected(store, f"{fake.host}/app:1", settings, DigestMismatch, "config")


def test_a_manifest_that_is_not_what_was_asked_for(fake: FakeRegistry, store: Store, settings: Settings) -> None:
    digest = "sha256:" + "0" * 64
    fake.manifests[f"app:{digest}"] = fake.manifests["app:1"]
    rejected(store, f"{fake.host}/app@{digest}", settings, DigestMismatch, "manifest")


def test_an_endless_body(fake: FakeRegistry, store: Store, settings: Settings) -> None:
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
    rejected(store, f"{fake.host}/app:1", settings, StoreError)
    time.sleep(0.1)
    assert fake.count("GET", DIGEST) == 1


@pytest.mark.parametrize("chunked", [False, True])
def test_a_huge_manifest(fake: FakeRegistry, store: Store, settings: Settings, chunked: bool) -> None:
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
    fake: FakeRegistry, store: Store, settings: Settings, media_type: str, document: dict[str, object], error: type
) -> None:
    fake.put("odd:1", json.dumps(document).encode(), media_type)
    rejected(store, f"{fake.host}/odd:1", settings, error)


def test_429_then_success_waits_as_long_as_it_was_told(fake: FakeRegistry, store: Store, settings: Settings) -> None:
    times: list[float] = []

    def hook(handler: Handler, seen: Seen) -> bool:
        if not is_blob(seen):
            return False
        times.append(time.monotonic())
        if len(times) == 1:
            handler.reply(429, b"{}", Retry_After="1")
        return len(times) == 1

    fake.hook = hook
    assert pull(store, f"{fake.host}/app:1", settings).fetched_layers == 1
    assert 1.0 <= times[1] - times[0] < 3


def test_a_pause_that_is_too_long_is_the_users_to_decide(fake: FakeRegistry, store: Store, settings: Settings) -> None:
    fake.hook = lambda handler, seen: handler.reply(429, b"{}", Retry_After="3600") or True
    rejected(store, f"{fake.host}/app:1", settings, RegistryUnreachable, "3600 s")
    assert len(fake.seen) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_5xx_is_tried_again(fake: FakeRegistry, store: Store, settings: Settings, status: int) -> None:
    left = [1, 1]

    def hook(handler: Handler, seen: Seen) -> bool:
        if left:
            left.pop()
            handler.reply(status)
            return True
        return False

    fake.hook = hook
    assert pull(store, f"{fake.host}/app:1", settings).fetched_layers == 1
    fake.hook = lambda handler, seen: handler.reply(status) or True
    count = len(fake.seen)
    with pytest.raises(RegistryUnreachable, match=str(status)):
        pull(store, f"{fake.host}/app:2", settings)
    assert len(fake.seen) - count == settings.retry.attempts


def test_404_and_other_refusals_are_not_tried_again(fake: FakeRegistry, store: Store, settings: Settings) -> None:
    rejected(store, f"{fake.host}/app:none", settings, NotInRegistry)
    assert len(fake.seen) == 1
    body = json.dumps({"errors": [{"code": "TOOMANY", "message": "quota\x1b[31m exceeded"}]}).encode()
    fake.hook = lambda handler, seen: handler.reply(418, body) or True
    error = rejected(store, f"{fake.host}/app:1", settings, RegistryRefused, "quota .*exceeded")
    assert "\x1b" not in str(error)


# Redirects


def test_a_redirect_to_another_host_gets_no_credentials(fake: FakeRegistry, store: Store, settings: Settings) -> None:
    elsewhere = FakeRegistry().start()
    elsewhere.blobs = fake.blobs

    def hook(handler: Handler, seen: Seen) -> bool:
        if seen.headers.get("authorization") is None:
            handler.reply(401, WWW_Authenticate='Basic realm="x"')
            return True
        if is_blob(seen):
            handler.reply(307, Location=f"http://{elsewhere.host}{seen.path}")
            return True
        return False

    fake.hook = hook
    try:
        assert pull(store, f"{fake.host}/app:1", with_login(settings, fake.host)).fetched_layers == 1
    finally:
        elsewhere.stop()
    assert elsewhere.seen
    assert all("authorization" not in seen.headers for seen in elsewhere.seen)
    assert all(SECRET not in repr(seen) for seen in elsewhere.seen)


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://", "gopher://x/", "http://[::1", "//:99999999/"]
)
def test_redirects_out_of_http_are_refused(fake: FakeRegistry, store: Store, settings: Settings, location: str) -> None:
    fake.hook = lambda handler, seen: is_blob(seen) and (handler.reply(302, Location=location) or True)
    rejected(store, f"{fake.host}/app:1", settings, BadRegistryAnswer)


def test_redirects_without_end_or_target(fake: FakeRegistry, store: Store, settings: Settings) -> None:
    fake.hook = lambda handler, seen: handler.reply(302, Location=seen.path) or True
    rejected(store, f"{fake.host}/app:1", settings, BadRegistryAnswer, "redirects")
    fake.hook = lambda handler, seen: handler.reply(302) or True
    rejected(store, f"{fake.host}/app:1", settings, BadRegistryAnswer, "Location")


# Tokens


class TokenServer:
    """Bearer tokens by the fake itself, at `/token`. A token is good for `uses` requests."""

    def __init__(self, fake: FakeRegistry, uses: int = 1000, expires_in: int = 300) -> None:
        self.fake = fake
        self.uses = uses
        self.expires_in = expires_in
        self.left: dict[str, int] = {}
        self.asked: list[Seen] = []
        self.lock = threading.Lock()
        fake.hook = self

    def __call__(self, handler: Handler, seen: Seen) -> bool:
        with self.lock:
            if seen.path.startswith("/token"):
                self.asked.append(seen)
                token = f"t{len(self.left)}"
                self.left[token] = self.uses
                body = json.dumps({"token": token, "expires_in": self.expires_in}).encode()
                handler.reply(200, body)
                return True
            token = seen.headers.get("authorization", "").removeprefix("Bearer ")
            if self.left.get(token, 0) > 0:
                self.left[token] -= 1
                return False
        realm = f'Bearer realm="http://{self.fake.host}/token",service="fake",scope="ignored:by:us"'
        handler.reply(401, b"{}", WWW_Authenticate=realm)
        return True


def test_anonymous_tokens_are_kept_for_their_scope(fake: FakeRegistry, store: Store, settings: Settings) -> None:
    tokens = TokenServer(fake)
    pull(store, f"{fake.host}/app:1", settings)
    assert [seen.path for seen in tokens.asked] == ["/token?service=fake&scope=repository%3Aapp%3Apull"]
    assert "authorization" not in tokens.asked[0].headers


def test_expired_tokens_are_renewed(fake: FakeRegistry, store: Store, settings: Settings) -> None:
    tokens = TokenServer(fake, uses=1)
    assert pull(store, f"{fake.host}/app:1", with_login(settings, fake.host)).fetched_layers == 1
    assert len(tokens.asked) == 3  # manifest, config, layer
    auth = {seen.headers["authorization"] for seen in tokens.asked}
    assert auth == {"Basic " + base64.b64encode(f"alice:{SECRET}".encode()).decode()}
    assert all(SECRET not in seen.path for seen in tokens.asked)


def test_an_identity_token_is_exchanged(fake: FakeRegistry, store: Store, settings: Settings) -> None:
    tokens = TokenServer(fake)
    assert settings.docker_config is not None
    auth = base64.b64encode(b"00000000:").decode()
    login = {"auths": {fake.host: {"auth": auth, "identitytoken": "refresh-me"}}}
    settings.docker_config.write_text(json.dumps(login))
    pull(store, f"{fake.host}/app:1", settings)
    assert tokens.asked[0].method == "POST"
    assert b"grant_type=refresh_token" in tokens.asked[0].body
    assert b"refresh_token=refresh-me" in tokens.asked[0].body


def test_tokens_that_are_never_accepted(fake: FakeRegistry, store: Store, settings: Settings) -> None:
    TokenServer(fake, uses=0)
    rejected(store, f"{fake.host}/app:1", settings, AccessDenied)
    assert len(fake.seen) == 3


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"token": 1}', b'{"token": "a\\nb: c"}', b"x" * (2 << 20)])
def test_bad_tokens(fake: FakeRegistry, store: Store, settings: Settings, body: bytes) -> None:
    def hook(handler: Handler, seen: Seen) -> bool:
        if seen.path.startswith("/token"):
            handler.reply(200, body)
        else:
            handler.reply(401, WWW_Authenticate=f'Bearer realm="http://{fake.host}/token"')
        return True

    fake.hook = hook
    rejected(store, f"{fake.host}/app:1", settings, BadRegistryAnswer)


@pytest.mark.parametrize("realm", ["file:///etc/passwd", "", "nonsense"])
def test_bad_realms(fake: FakeRegistry, store: Store, settings: Settings, realm: str) -> None:
    fake.hook = lambda handler, seen: handler.reply(401, WWW_Authenticate=f'Bearer realm="{realm}"') or True
    rejected(store, f"{fake.host}/app:1", with_login(settings, fake.host), StoreError)


# Several platforms


def test_the_manifest_of_a_platform(fake: FakeRegistry, store: Store, settings: Settings) -> None:
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


# Uploads


def push_source(store: Store, fake: FakeRegistry, settings: Settings) -> str:
    """An image in the store under a name that the fake does not have."""
    pull(store, f"{fake.host}/app:1", settings)
    store.tag(f"{fake.host}/app:1", f"{fake.host}/new:1")
    store.remove(f"{fake.host}/app:1")
    fake.blobs.clear()
    fake.seen.clear()
    return f"{fake.host}/new:1"


def test_an_upload_goes_on_after_a_cut(fake: FakeRegistry, store: Store, settings: Settings) -> None:
    name = push_source(store, fake, settings)
    cuts = [1]

    def hook(handler: Handler, seen: Seen) -> bool:
        if seen.method == "PATCH" and seen.headers["content-range"].startswith("1000000-") and cuts:
            cuts.pop()
            fake.uploads[seen.path.partition("?")[0].rpartition("/")[2]] += seen.body[:400_000]
            handler.cut()
            return True
        return False

    fake.hook = hook
    small = Settings(plain_http=True, retry=settings.retry, upload_chunk_bytes=1_000_000)
    push(store, name, small)
    assert fake.blobs[DIGEST] == BLOB
    ranges = [seen.headers["content-range"] for seen in fake.seen if seen.method == "PATCH"]
    assert ranges[:3] == ["0-999999", "1000000-1999999", "1400000-2399999"]


def test_an_upload_that_the_registry_forgot_starts_again(fake: FakeRegistry, store: Store, settings: Settings) -> None:
    name = push_source(store, fake, settings)
    cuts = [1]

    def hook(handler: Handler, seen: Seen) -> bool:
        if seen.method == "PATCH" and seen.headers["content-range"].startswith("1000000-") and cuts:
            cuts.pop()
            fake.uploads.pop(seen.path.partition("?")[0].rpartition("/")[2])
            handler.reply(404)
            return True
        return False

    fake.hook = hook
    push(store, name, Settings(plain_http=True, retry=settings.retry, upload_chunk_bytes=1_000_000))
    assert fake.blobs[DIGEST] == BLOB


def test_an_upload_elsewhere_gets_no_credentials(fake: FakeRegistry, store: Store, settings: Settings) -> None:
    name = push_source(store, fake, settings)
    elsewhere = FakeRegistry().start()
    elsewhere.uploads = fake.uploads
    elsewhere.blobs = fake.blobs

    def hook(handler: Handler, seen: Seen) -> bool:
        if seen.headers.get("authorization") is None:
            handler.reply(401, WWW_Authenticate='Basic realm="x"')
            return True
        if seen.method == "POST":
            name = f"e{len(fake.uploads)}"
            fake.uploads[name] = b""
            handler.reply(202, Location=f"http://{elsewhere.host}/v2/new/blobs/uploads/{name}")
            return True
        return False

    fake.hook = hook
    try:
        assert push(store, name, with_login(settings, fake.host)).sent_blobs == 2
    finally:
        elsewhere.stop()
    assert elsewhere.seen
    assert all("authorization" not in seen.headers for seen in elsewhere.seen)


def test_a_lost_answer_to_the_end_of_an_upload(fake: FakeRegistry, store: Store, settings: Settings) -> None:
    name = push_source(store, fake, settings)
    cuts = [1]

    def hook(handler: Handler, seen: Seen) -> bool:
        if seen.method == "PUT" and "/uploads/" in seen.path and cuts:
            cuts.pop()
            digest = sha256(seen.body)
            fake.blobs[digest] = seen.body
            handler.cut()
            return True
        return False

    fake.hook = hook
    push(store, name, settings)
    assert fake.blobs[DIGEST] == BLOB
    assert "new:1" in fake.manifests

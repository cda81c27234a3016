"""Tokens and redirects: credentials go to whom they are for, and to nobody else."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable

import pytest

from rootlay.store.model.errors import RootlayError
from rootlay.store.registry.errors import (
    AccessDenied,
    BadRegistryAnswer,
)
from rootlay.store.registry.pull import pull
from rootlay.store.registry.settings import Settings
from rootlay.store.store import ImageStore
from tests.support.registry.fake import FakeRegistry, Handler, Seen
from tests.support.registry.faulty import SECRET, is_blob, rejected, with_login


def _blobs_are_at(elsewhere: FakeRegistry) -> Callable[[Handler, Seen], bool]:
    """A registry that wants a login, and redirects to another host for blobs."""

    def hook(handler: Handler, seen: Seen) -> bool:
        if seen.headers.get("authorization") is None:
            handler.reply(401, WWW_Authenticate='Basic realm="x"')
            return True
        if is_blob(seen):
            handler.reply(307, Location=f"http://{elsewhere.host}{seen.path}")
            return True
        return False

    return hook


def test_a_redirect_to_another_host_gets_no_credentials(
    fake: FakeRegistry, store: ImageStore, settings: Settings
) -> None:
    elsewhere = FakeRegistry().start()
    elsewhere.blobs = fake.blobs

    fake.hook = _blobs_are_at(elsewhere)
    try:
        assert pull(store, f"{fake.host}/app:1", with_login(settings, fake.host)).fetched_layers == 1
    finally:
        elsewhere.stop()
    assert elsewhere.seen
    assert all("authorization" not in seen.headers for seen in elsewhere.seen)
    assert all(SECRET not in repr(seen) for seen in elsewhere.seen)


@pytest.mark.parametrize("challenge", ['Basic realm="x"', 'Bearer realm="http://{host}/token",service="x"'])
def test_a_challenge_of_a_redirects_target_gets_no_credentials(
    fake: FakeRegistry, store: ImageStore, settings: Settings, challenge: str
) -> None:
    elsewhere = FakeRegistry().start()

    def ask(handler: Handler, seen: Seen) -> bool:
        if seen.path.startswith("/token"):
            handler.reply(200, b'{"token": "x"}')
        else:
            handler.reply(401, WWW_Authenticate=challenge.format(host=elsewhere.host))
        return True

    fake.hook, elsewhere.hook = _blobs_are_at(elsewhere), ask
    try:
        rejected(store, f"{fake.host}/app:1", with_login(settings, fake.host), AccessDenied, "401")
        assert elsewhere.seen
        assert all("authorization" not in seen.headers for seen in elsewhere.seen)
    finally:
        elsewhere.stop()


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://", "gopher://x/", "http://[::1", "//:99999999/"]
)
def test_redirects_out_of_http_are_refused(
    fake: FakeRegistry, store: ImageStore, settings: Settings, location: str
) -> None:
    fake.hook = lambda handler, seen: is_blob(seen) and (handler.reply(302, Location=location) or True)
    rejected(store, f"{fake.host}/app:1", settings, BadRegistryAnswer)


def test_redirects_without_end_or_target(fake: FakeRegistry, store: ImageStore, settings: Settings) -> None:
    fake.hook = lambda handler, seen: handler.reply(302, Location=seen.path) or True
    rejected(store, f"{fake.host}/app:1", settings, BadRegistryAnswer, "redirects")
    fake.hook = lambda handler, seen: handler.reply(302) or True
    rejected(store, f"{fake.host}/app:1", settings, BadRegistryAnswer, "Location")


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


def test_anonymous_tokens_are_kept_for_their_scope(fake: FakeRegistry, store: ImageStore, settings: Settings) -> None:
    tokens = TokenServer(fake)
    pull(store, f"{fake.host}/app:1", settings)
    assert [seen.path for seen in tokens.asked] == ["/token?service=fake&scope=repository%3Aapp%3Apull"]
    assert "authorization" not in tokens.asked[0].headers


def test_expired_tokens_are_renewed(fake: FakeRegistry, store: ImageStore, settings: Settings) -> None:
    tokens = TokenServer(fake, uses=1)
    assert pull(store, f"{fake.host}/app:1", with_login(settings, fake.host)).fetched_layers == 1
    assert len(tokens.asked) == 3  # manifest, config, layer
    auth = {seen.headers["authorization"] for seen in tokens.asked}
    assert auth == {"Basic " + base64.b64encode(f"alice:{SECRET}".encode()).decode()}
    assert all(SECRET not in seen.path for seen in tokens.asked)


def test_an_identity_token_is_exchanged(fake: FakeRegistry, store: ImageStore, settings: Settings) -> None:
    tokens = TokenServer(fake)
    assert settings.docker_config is not None
    auth = base64.b64encode(b"00000000:").decode()
    login = {"auths": {fake.host: {"auth": auth, "identitytoken": "refresh-me"}}}
    settings.docker_config.write_text(json.dumps(login))
    pull(store, f"{fake.host}/app:1", settings)
    assert tokens.asked[0].method == "POST"
    assert b"grant_type=refresh_token" in tokens.asked[0].body
    assert b"refresh_token=refresh-me" in tokens.asked[0].body


def test_tokens_that_are_never_accepted(fake: FakeRegistry, store: ImageStore, settings: Settings) -> None:
    TokenServer(fake, uses=0)
    rejected(store, f"{fake.host}/app:1", settings, AccessDenied)
    assert len(fake.seen) == 3


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"token": 1}', b'{"token": "a\\nb: c"}', b"x" * (2 << 20)])
def test_bad_tokens(fake: FakeRegistry, store: ImageStore, settings: Settings, body: bytes) -> None:
    def hook(handler: Handler, seen: Seen) -> bool:
        if seen.path.startswith("/token"):
            handler.reply(200, body)
        else:
            handler.reply(401, WWW_Authenticate=f'Bearer realm="http://{fake.host}/token"')
        return True

    fake.hook = hook
    rejected(store, f"{fake.host}/app:1", settings, BadRegistryAnswer)


@pytest.mark.parametrize("realm", ["file:///etc/passwd", "", "nonsense"])
def test_bad_realms(fake: FakeRegistry, store: ImageStore, settings: Settings, realm: str) -> None:
    fake.hook = lambda handler, seen: handler.reply(401, WWW_Authenticate=f'Bearer realm="{realm}"') or True
    rejected(store, f"{fake.host}/app:1", with_login(settings, fake.host), RootlayError)

"""Against docker-registry in each of its modes: open, with htpasswd, with TLS from a CA of our own, with both.

What goes wrong goes wrong for real: the registry's disk is damaged, its tokens expire, it is killed. Bytes are counted
at the socket.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import DigestMismatch, RootlayError
from rootlay.store.model.manifest import Manifest
from rootlay.store.model.reference import Reference
from rootlay.store.model.value import replace
from rootlay.store.registry.credential import Credential
from rootlay.store.registry.errors import AccessDenied, NotInRegistry, RegistryUnreachable
from rootlay.store.registry.login import login
from rootlay.store.registry.pull import pull
from rootlay.store.registry.push import push
from rootlay.store.registry.repository import Repository
from rootlay.store.registry.retry import RetryRules
from rootlay.store.registry.session import Session
from rootlay.store.registry.settings import Settings
from rootlay.store.store import ImageStore
from tests.support.archives.make import docker_archive, make_tar, snapshot
from tests.support.registry.fake import FakeRegistry, Handler, Seen
from tests.support.registry.real import PASSWORD, USER, RealRegistry, running
from tests.support.registry.tokens import ISSUER, LEEWAY_S, SERVICE, token_server
from tests.support.registry.wire import Wire

MODES = {
    "open": {},
    "htpasswd": {"login": True},
    "tls": {"tls": True},
    "htpasswd and tls": {"login": True, "tls": True},
}
SIZE = 12_000_000
# Headers, handshakes, manifest and config of one pull.
OVERHEAD_BYTES = 30_000


@dataclass
class Setup:
    """A registry that has `base:1` and `child:1`, one more layer; the settings of somebody who may use it."""

    registry: RealRegistry
    settings: Settings
    source: ImageStore

    def damaged(self, digest: Digest) -> Path:
        """Where the registry keeps a blob."""
        root = self.registry.directory / "data/docker/registry/v2/blobs/sha256"
        return root / digest.hex[:2] / digest.hex / "data"


@pytest.fixture(params=MODES)
def setup(request: pytest.FixtureRequest, store: ImageStore, tmp_path: Path) -> Iterator[Setup]:
    with running(tmp_path / "registry", **MODES[request.param]) as registry:
        settings = Settings(docker_config=tmp_path / "config.json", ca_file=registry.ca, retry=RetryRules(8, 0.05, 0.2))
        if "login" in MODES[request.param]:
            login(registry.host, Credential(USER, PASSWORD), settings)
        fill(store, tmp_path)
        for name in ("base:1", "child:1"):
            push(store, name, settings, target=f"{registry.host}/{name}")
        yield Setup(registry, settings, store)


def fill(store: ImageStore, tmp_path: Path) -> None:
    base, child = make_tar([("big", "f", os.urandom(SIZE))]), make_tar([("small", "f", os.urandom(50_000))])
    (tmp_path / "a.tar").write_bytes(docker_archive([([base], ["base:1"]), ([base, child], ["child:1"])]))
    store.load(tmp_path / "a.tar")


def test_all_that_should_work(setup: Setup, other: ImageStore) -> None:
    """Pull; pull again: no blob; a child: its top layer; a kill in the middle of a blob: the rest. At the socket."""
    with Wire(("127.0.0.1", setup.registry.port)) as wire:
        if (setup.registry.directory / "htpasswd").exists():
            login(wire.host, Credential(USER, PASSWORD), setup.settings)
        first = pull(other, f"{wire.host}/base:1", setup.settings)
        assert first.image.manifest_digest == setup.source.image("base:1").manifest_digest
        assert SIZE < wire.received < SIZE + OVERHEAD_BYTES

        before, mark = wire.received, setup.registry.seen
        assert pull(other, f"{wire.host}/base:1", setup.settings).fetched_layers == 0
        assert wire.received - before < OVERHEAD_BYTES
        assert setup.registry.blobs_fetched(mark) == []

        before = wire.received
        child = pull(other, f"{wire.host}/child:1", setup.settings)
        top = child.image.manifest.layers[-1].size
        assert top < wire.received - before < top + OVERHEAD_BYTES
        assert push(other, f"{wire.host}/child:1", setup.settings).sent_blobs == 0


def test_killed_in_the_middle_of_a_blob(setup: Setup, other: ImageStore) -> None:
    killed: list[int] = []

    def progress(done_bytes: int, total_bytes: int | None, label: str) -> None:
        if done_bytes > SIZE // 4 and not killed:
            killed.append(done_bytes)
            setup.registry.kill()
            setup.registry.start()

    # A link that is slow: what the kernel's buffers held would have arrived all the same.
    with Wire(("127.0.0.1", setup.registry.port), bytes_per_s=2e7) as wire:
        if (setup.registry.directory / "htpasswd").exists():
            login(wire.host, Credential(USER, PASSWORD), setup.settings)
        mark = setup.registry.seen
        pulled = pull(other, f"{wire.host}/base:1", setup.settings, progress=progress)
    assert killed
    assert pulled.image.manifest_digest == setup.source.image("base:1").manifest_digest
    rest = setup.registry.blobs_fetched(mark)[-1]
    assert rest.status == 206
    assert rest.bytes <= SIZE - killed[0] + OVERHEAD_BYTES


def refused(
    setup: Setup, other: ImageStore, error: type[RootlayError], match: str | None, settings: Settings | None = None
) -> None:
    """Pull what must fail with nothing stored."""
    before = snapshot(other.root)
    with pytest.raises(error, match=match):
        pull(other, f"{setup.registry.host}/base:1", settings or setup.settings)
    assert snapshot(other.root) == before


@pytest.mark.parametrize("what", ["layer", "config", "manifest"])
def test_damage_on_the_registrys_disk(setup: Setup, other: ImageStore, what: str) -> None:
    """It serves what it has: a wrong digest is refused, what is missing is an error, and nothing is stored."""
    image = setup.source.image("base:1")
    digest = {
        "layer": image.manifest.layers[0].digest,
        "config": image.manifest.config.digest,
        "manifest": image.manifest_digest,
    }[what]
    path = setup.damaged(digest)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    if what == "manifest":  # which docker-registry itself verifies
        refused(setup, other, RootlayError, None)
    else:
        refused(setup, other, DigestMismatch, digest.hex[:12])
    path.unlink()
    refused(setup, other, RootlayError, "not found" if what != "manifest" else None)
    with pytest.raises(NotInRegistry):
        pull(other, f"{setup.registry.host}/base:none", setup.settings)


def test_wrong_password(setup: Setup, other: ImageStore, tmp_path: Path) -> None:
    wrong = replace(setup.settings, docker_config=tmp_path / "wrong.json")
    if not (setup.registry.directory / "htpasswd").exists():
        login(setup.registry.host, Credential(USER, "wrong"), wrong)  # it does not ask
        assert pull(other, f"{setup.registry.host}/base:1", wrong).fetched_layers == 1
        return
    with pytest.raises(AccessDenied, match="wrong"):
        login(setup.registry.host, Credential(USER, "wrong"), wrong)
    refused(setup, other, AccessDenied, "rootlay login", wrong)
    (tmp_path / "wrong.json").write_text(json.dumps({"auths": {setup.registry.host: {"auth": "YWxpY2U6d3Jvbmc="}}}))
    refused(setup, other, AccessDenied, "wrong user name or password", wrong)


def connection(registry: RealRegistry) -> http.client.HTTPConnection:
    if registry.ca is None:
        return http.client.HTTPConnection("127.0.0.1", registry.port)
    trust = ssl.create_default_context(cafile=str(registry.ca))
    return http.client.HTTPSConnection("127.0.0.1", registry.port, context=trust)


def test_429_then_success(setup: Setup, other: ImageStore) -> None:
    """docker-registry has no limits of its own: something in front of it answers so, as CDNs do."""
    busy = ["manifest", "blob", "blob"]

    def front(handler: Handler, seen: Seen) -> bool:
        if busy and f"/{busy[0]}s/" in seen.path:
            busy.pop(0)
            handler.reply(429, Retry_After="0")
            return True
        behind = connection(setup.registry)
        kept = {k: v for k, v in seen.headers.items() if k in ("authorization", "accept", "range")}
        behind.request(seen.method, seen.path, headers=kept)
        answer = behind.getresponse()
        headers = {k.replace("-", "_"): v for k, v in answer.getheaders() if k not in ("Content-Length", "Date")}
        handler.reply(answer.status, answer.read(), **headers)
        behind.close()
        return True

    fake = FakeRegistry().start()
    fake.hook = front
    try:
        if (setup.registry.directory / "htpasswd").exists():
            login(fake.host, Credential(USER, PASSWORD), setup.settings)
        pulled = pull(other, f"{fake.host}/base:1", setup.settings)
    finally:
        fake.stop()
    assert busy == []
    assert pulled.image.manifest_digest == setup.source.image("base:1").manifest_digest


def test_expired_tokens(store: ImageStore, other: ImageStore, tmp_path: Path) -> None:
    """Signed tokens: one that is over when it comes is an error, one that is over after the manifest is renewed."""
    with token_server(tmp_path / "tokens") as tokens:
        auth = {"realm": tokens.realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": tokens.certificate}
        with running(tmp_path / "registry", tokens=auth) as registry, Wire(("127.0.0.1", registry.port)) as wire:
            fill(store, tmp_path)
            settings = Settings(retry=RetryRules(8, 0.05, 0.2))
            push(store, "child:1", settings, target=f"{wire.host}/child:1")
            assert len(tokens.given) == 1
            tokens.lives = [-LEEWAY_S - 30, -LEEWAY_S - 30]
            before = snapshot(other.root)
            with pytest.raises(AccessDenied):
                pull(other, f"{wire.host}/child:1", settings)
            assert snapshot(other.root) == before
            del tokens.given[:], tokens.lives[:]
            tokens.lives = [-LEEWAY_S + 3]
            name = Reference.parse(f"{wire.host}/child:1")
            with Session(settings, name.domain) as session:
                repository = Repository(session, name)
                manifest = Manifest.parse(repository.get_manifest("1", "manifest").data, "manifest")
                assert len(tokens.given) == 1
                time.sleep(4)  # past its end, of which the registry alone knows
                for layer in manifest.layers:
                    assert layer.digest.fits(b"".join(repository.iter_blob(layer, "layer")))
            assert len(tokens.given) == 2


def test_gone_for_good(setup: Setup, other: ImageStore) -> None:
    setup.registry.kill()
    with pytest.raises(RegistryUnreachable):
        pull(other, f"{setup.registry.host}/base:1", replace(setup.settings, retry=RetryRules(2, 0.01, 0.02)))
    assert other.images() == []

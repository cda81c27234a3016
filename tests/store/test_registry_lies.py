"""Each lie of `registry_lies`: the error it ends with, nothing stored, nothing leaked, and not much read."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootlay.store.model.errors import RootlayError
from rootlay.store.model.value import replace
from rootlay.store.registry.errors import BadRegistryAnswer, RegistryUnreachable
from rootlay.store.registry.pull import pull
from rootlay.store.registry.push import push
from rootlay.store.registry.retry import RetryRules
from rootlay.store.registry.settings import Settings
from rootlay.store.store import ImageStore
from tests.support.archives.make import make_config, sha256, snapshot
from tests.support.registry.fake import FakeRegistry, Handler, Seen
from tests.support.registry.faulty import BLOB, DIGEST, SECRET, TAR, faulty_fake, impatient, with_login
from tests.support.registry.lies import LIES, Scene

CONFIG_DIGEST = sha256(make_config([TAR]))
# An answer that is longer than it should be is given up soon, twice; the rest is in the sockets' buffers, which grow.
BUFFERS = sum(int(Path(f"/proc/sys/net/ipv4/tcp_{way}mem").read_text().split()[2]) for way in "rw")
READ_BYTES_MAX = (8 << 20) + 2 * BUFFERS
SECRETS = (SECRET, base64.b64encode(f"alice:{SECRET}".encode()).decode())
# Only what has arrived of a layer stays after trouble on the way, for the next pull, which verifies it.
PARTIAL = "tmp/partial-"


@pytest.fixture
def scene() -> Iterator[Scene]:
    fake, elsewhere = faulty_fake(), faulty_fake()
    elsewhere.hook = lambda handler, seen: _plain(elsewhere, handler, seen)
    yield Scene(fake, elsewhere)
    elsewhere.stop()
    fake.stop()


def _plain(elsewhere: FakeRegistry, handler: Handler, seen: Seen) -> bool:
    """`/config` and `/layer` for redirects."""
    found = {"/config": make_config([TAR]), "/layer": BLOB}.get(seen.path)
    if found is not None:
        handler.reply(200, found)
    return found is not None


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(impatient(tmp_path), retry=RetryRules(2, 0.01, 0.02, retry_after_max_s=0.5))


def place(seen: Seen) -> str:
    """Which of a pull's requests this is."""
    if "/manifests/" in seen.path:
        return "manifest" if seen.path.endswith("/1") else "inner"
    return {CONFIG_DIGEST: "config", DIGEST: "layer"}.get(seen.path.rpartition("/")[2], "token")


@pytest.mark.parametrize("name", LIES)
def test_a_lie(scene: Scene, store: ImageStore, settings: Settings, name: str) -> None:
    lie = LIES[name]

    def hook(handler: Handler, seen: Seen) -> bool:
        if lie.where in (place(seen), "token"):
            scene.told += 1
            lie.tell(handler, scene)
            return True
        return False

    scene.fake.hook = hook
    before = snapshot(store.root)
    reference = f"{scene.fake.host}/app:1"
    if lie.outcome is None:
        assert pull(store, reference, with_login(settings, scene.fake.host)).image.id.hex == CONFIG_DIGEST[7:]
        assert store.layout.blob_path(store.image(reference).manifest.layers[0].digest).read_bytes() == BLOB
    else:
        with pytest.raises(lie.outcome) as caught:
            pull(store, reference, with_login(settings, scene.fake.host))
        after = snapshot(store.root)
        assert {path: after[path] for path in after if not path.startswith(PARTIAL)} == before
        assert store.images() == []
        said = str(caught.value)
        assert said.isprintable()
        assert len(said) < 1000
        assert not any(secret in said for secret in SECRETS)
    assert scene.told
    assert scene.sent < READ_BYTES_MAX
    assert all(secret not in repr((seen, seen.body)) for seen in scene.elsewhere.seen for secret in SECRETS)


def test_how_many(capsys: pytest.CaptureFixture[str]) -> None:
    """The list only grows."""
    with capsys.disabled():
        print(f"\nlies of a registry: {len(LIES)} tried")
    assert len(LIES) >= 100


# Lies about an upload


def pushing(scene: Scene, store: ImageStore, settings: Settings) -> str:
    """An image that the fake does not have any more."""
    pull(store, f"{scene.fake.host}/app:1", settings)
    scene.fake.blobs.clear()
    scene.fake.seen.clear()
    return f"{scene.fake.host}/app:1"


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "", "http://a:b@127.0.0.1/", "gopher://x/", "http://127.0.0.1:99999/"]
)
def test_an_upload_that_goes_nowhere(scene: Scene, store: ImageStore, settings: Settings, location: str) -> None:
    name = pushing(scene, store, settings)
    scene.fake.hook = lambda handler, seen: seen.method == "POST" and (handler.reply(202, Location=location) or True)
    with pytest.raises(BadRegistryAnswer):
        push(store, name, settings)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_redirected_upload(scene: Scene, store: ImageStore, settings: Settings, method: str) -> None:
    name = pushing(scene, store, settings)
    scene.fake.hook = lambda handler, seen: (
        seen.method == method and (handler.reply(307, Location=f"http://{scene.elsewhere.host}/x") or True)
    )
    with pytest.raises(BadRegistryAnswer, match="redirects"):
        push(store, name, replace(settings, upload_chunk_bytes=1_000_000))
    assert scene.elsewhere.seen == []


@pytest.mark.parametrize("text", ["0-0", "0-99999999999", "0-" + "9" * 5000, "nonsense", "0-5"])
def test_a_registry_that_lies_about_what_it_has(scene: Scene, store: ImageStore, settings: Settings, text: str) -> None:
    """Where the upload stands is the registry's word; what is not believed is not followed for ever."""
    name = pushing(scene, store, settings)

    def hook(handler: Handler, seen: Seen) -> bool:
        if seen.method == "PATCH":
            handler.reply(202, Location=seen.path, Range=text)
        return seen.method == "PATCH"

    scene.fake.hook = hook
    with pytest.raises(RootlayError) as caught:
        push(store, name, replace(settings, upload_chunk_bytes=1_000_000))
    assert isinstance(caught.value, (BadRegistryAnswer, RegistryUnreachable)) or "400" in str(caught.value)
    assert scene.fake.count("PATCH", "uploads") < 20

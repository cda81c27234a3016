"""Uploads that go wrong on the way."""

from __future__ import annotations

from rootlay.store.registry.pull import pull
from rootlay.store.registry.push import push
from rootlay.store.registry.settings import Settings
from rootlay.store.store import ImageStore
from tests.support.archives.make import sha256
from tests.support.registry.fake import FakeRegistry, Handler, Seen
from tests.support.registry.faulty import BLOB, DIGEST, with_login


def push_source(store: ImageStore, fake: FakeRegistry, settings: Settings) -> str:
    """An image in the store under a name that the fake does not have."""
    pull(store, f"{fake.host}/app:1", settings)
    store.tag(f"{fake.host}/app:1", f"{fake.host}/new:1")
    store.remove(f"{fake.host}/app:1")
    fake.blobs.clear()
    fake.seen.clear()
    return f"{fake.host}/new:1"


def test_an_upload_goes_on_after_a_cut(fake: FakeRegistry, store: ImageStore, settings: Settings) -> None:
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


def test_an_upload_that_the_registry_forgot_starts_again(
    fake: FakeRegistry, store: ImageStore, settings: Settings
) -> None:
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


def test_an_upload_elsewhere_gets_no_credentials(fake: FakeRegistry, store: ImageStore, settings: Settings) -> None:
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


def test_a_lost_answer_to_the_end_of_an_upload(fake: FakeRegistry, store: ImageStore, settings: Settings) -> None:
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

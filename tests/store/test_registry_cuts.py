"""A registry that is cut off, busy or away: what can be resumed is, and nobody waits for ever."""

from __future__ import annotations

import gzip
import json
import threading
import time

import pytest

from rootlay.store.registry.errors import (
    NotInRegistry,
    RegistryRefused,
    RegistryUnreachable,
)
from rootlay.store.registry.pull import pull
from rootlay.store.registry.retry import RetryRules
from rootlay.store.registry.settings import Settings
from rootlay.store.store import ImageStore
from tests.support.archives.make import make_tar, sha256
from tests.support.registry.fake import FakeRegistry, Handler, Seen
from tests.support.registry.faulty import BLOB, DIGEST, TAR, is_blob, rejected


def test_a_cut_is_resumed_where_it_was(fake: FakeRegistry, store: ImageStore, settings: Settings) -> None:
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


def heads(start: int) -> bytes:
    """The head of an answer with what a blob has from `start` on."""
    status = b"206 Partial Content" if start else b"200 OK"
    lines = [b"HTTP/1.1 " + status, b"X: y", b"Content-Length: %d" % (len(BLOB) - start)]
    lines += [b"Content-Range: bytes %d-%d/%d" % (start, len(BLOB) - 1, len(BLOB))] if start else []
    return b"\r\n".join([*lines, b"", b""])


@pytest.mark.parametrize("left", [1, 2, 3, 20, 40, 50, 60, 70, 80, 90, 100, 105])
def test_a_cut_in_the_head_of_an_answer(fake: FakeRegistry, store: ImageStore, settings: Settings, left: int) -> None:
    """Wherever it is: it is no answer, and the next attempt goes on. `left`: bytes that are missing of the head."""
    cuts = [2]

    def hook(handler: Handler, seen: Seen) -> bool:
        if not is_blob(seen):
            return False
        start = int(seen.headers.get("range", "bytes=0-")[6:-1])
        if start and cuts:
            cuts[0] -= 1
            handler.wfile.write(heads(start)[:-left])
            if not cuts[0]:
                cuts.clear()
            handler.cut()
            return True
        handler.wfile.write(heads(start) + (BLOB[start:] if start else BLOB[:100_000]))
        handler.cut()
        return True

    fake.hook = hook
    assert pull(store, f"{fake.host}/app:1", settings).fetched_bytes == len(BLOB)
    ranges = [seen.headers.get("range") for seen in fake.seen if is_blob(seen)]
    assert ranges == [None, *["bytes=100000-"] * 3]


def test_heads_that_are_always_cut_give_an_error(fake: FakeRegistry, store: ImageStore, settings: Settings) -> None:
    def hook(handler: Handler, seen: Seen) -> bool:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
        handler.cut()
        return True

    fake.hook = hook
    rejected(store, f"{fake.host}/app:1", settings, RegistryUnreachable, "interrupted in the header")


def test_a_server_that_is_away_for_a_while(fake: FakeRegistry, store: ImageStore, settings: Settings) -> None:
    down: list[threading.Timer] = []

    def hook(handler: Handler, seen: Seen) -> bool:
        if not is_blob(seen) or down:
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BLOB)))
        handler.end_headers()
        handler.wfile.write(BLOB[:500_000])
        down.append(threading.Timer(0.3, fake.start))
        fake.stop()
        down[0].start()
        handler.cut()
        return True

    fake.hook = hook
    patient = Settings(plain_http=True, retry=RetryRules(1000, 0.05, 0.1))
    assert pull(store, f"{fake.host}/app:1", patient).fetched_layers == 1
    down[0].join()


def test_a_server_without_ranges_is_read_again(fake: FakeRegistry, store: ImageStore, settings: Settings) -> None:
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


def test_a_server_that_always_cuts_gives_an_error(fake: FakeRegistry, store: ImageStore, settings: Settings) -> None:
    def hook(handler: Handler, seen: Seen) -> bool:
        if not is_blob(seen):
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BLOB)))
        handler.end_headers()
        handler.cut()
        return True

    fake.hook = hook
    rejected(store, f"{fake.host}/app:1", settings, RegistryUnreachable, "interrupted")
    assert fake.count("GET", DIGEST) == settings.retry.attempts


def test_after_a_cut_for_good_the_next_pull_goes_on(fake: FakeRegistry, store: ImageStore, settings: Settings) -> None:
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


def test_429_then_success_waits_as_long_as_it_was_told(
    fake: FakeRegistry, store: ImageStore, settings: Settings
) -> None:
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


def test_a_pause_that_is_too_long_is_the_users_to_decide(
    fake: FakeRegistry, store: ImageStore, settings: Settings
) -> None:
    fake.hook = lambda handler, seen: handler.reply(429, b"{}", Retry_After="3600") or True
    rejected(store, f"{fake.host}/app:1", settings, RegistryUnreachable, "3600 s")
    assert len(fake.seen) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_5xx_is_tried_again(fake: FakeRegistry, store: ImageStore, settings: Settings, status: int) -> None:
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


def test_404_and_other_refusals_are_not_tried_again(fake: FakeRegistry, store: ImageStore, settings: Settings) -> None:
    rejected(store, f"{fake.host}/app:none", settings, NotInRegistry)
    assert len(fake.seen) == 1
    body = json.dumps({"errors": [{"code": "TOOMANY", "message": "quota\x1b[31m exceeded"}]}).encode()
    fake.hook = lambda handler, seen: handler.reply(418, body) or True
    error = rejected(store, f"{fake.host}/app:1", settings, RegistryRefused, "quota .*exceeded")
    assert "\x1b" not in str(error)

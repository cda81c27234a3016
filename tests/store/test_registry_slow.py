"""A registry that is too slow to be of use is given up, one that is merely slow is not. Nobody waits for ever.

The limits are short here: what takes a minute by default takes a fifth of a second.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rootlay.cli.printer import standard_streams
from rootlay.cli.registryoptions import settings_of
from rootlay.cli.spec import Context, UsageError, Values
from rootlay.store.model.value import replace
from rootlay.store.registry.errors import RegistryUnreachable
from rootlay.store.registry.pace import Pace
from rootlay.store.registry.pull import pull
from rootlay.store.registry.push import push
from rootlay.store.registry.retry import RetryRules
from rootlay.store.registry.settings import Settings
from rootlay.store.store import ImageStore
from tests.support.archives.make import make_tar
from tests.support.registry.fake import FakeRegistry, Handler, Seen
from tests.support.registry.faulty import BLOB, is_blob
from tests.support.registry.wire import Wire

pytestmark = [pytest.mark.slow, pytest.mark.once]

ATTEMPTS = 2
QUICK_BYTES = 100_000  # come before it gets slow
Hook = Callable[[Handler, Seen], bool]


@pytest.fixture
def hasty(settings: Settings) -> Settings:
    return replace(
        settings, retry=RetryRules(ATTEMPTS, 0.01, 0.01), read_timeout_s=0.5, speed_limit_bytes=1000, speed_time_s=0.2
    )


def drip(handler: Handler, data: bytes) -> None:
    """A byte now and then, long after everybody should have gone."""
    handler.close_connection = True
    with contextlib.suppress(OSError):
        for at in range(len(data)):
            handler.wfile.write(data[at : at + 1])
            handler.wfile.flush()
            time.sleep(0.02)


def dripping_blob(handler: Handler, seen: Seen) -> bool:
    if not is_blob(seen):
        return False
    start = int(seen.headers.get("range", "bytes=0-")[6:-1])
    handler.send_response(206 if start else 200)
    handler.send_header("Content-Length", str(len(BLOB) - start))
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(BLOB) - 1}/{len(BLOB)}")
    handler.end_headers()
    if not start:
        handler.wfile.write(BLOB[:QUICK_BYTES])
        start = QUICK_BYTES
    drip(handler, BLOB[start:])
    return True


def test_single_bytes_for_ever(fake: FakeRegistry, store: ImageStore, hasty: Settings) -> None:
    """Though each attempt brings a little, that is no reason for one more; and the little is kept."""
    fake.hook = dripping_blob
    with pytest.raises(RegistryUnreachable, match=r"only \d+ bytes in .*ROOTLAY_SPEED_LIMIT"):
        pull(store, f"{fake.host}/app:1", hasty)
    asked = [seen for seen in fake.seen if is_blob(seen)]
    assert len(asked) == ATTEMPTS
    [kept] = store.layout.tmp.glob("partial-*")
    size = kept.stat().st_size
    assert QUICK_BYTES < size < QUICK_BYTES + 1000
    fake.hook, fake.seen = None, []
    assert pull(store, f"{fake.host}/app:1", hasty).fetched_bytes == len(BLOB) - size


def test_a_slow_link_is_good_enough(fake: FakeRegistry, store: ImageStore, hasty: Settings) -> None:
    with Wire(("127.0.0.1", fake.port), bytes_per_s=len(BLOB) * 1.0) as wire:
        pull(store, f"{wire.host}/app:1", replace(hasty, speed_limit_bytes=len(BLOB) // 20))


def test_no_limit(fake: FakeRegistry, store: ImageStore, hasty: Settings) -> None:
    """0 waits for whatever comes; silence has a limit of its own."""
    sent = 0

    def hook(handler: Handler, seen: Seen) -> bool:
        nonlocal sent
        if not is_blob(seen) or sent:
            return False
        sent = 1
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BLOB)))
        handler.end_headers()
        drip(handler, BLOB[:30])
        handler.wfile.write(BLOB[30:])
        return True

    fake.hook = hook
    pull(store, f"{fake.host}/app:1", replace(hasty, speed_limit_bytes=0))
    assert len([seen for seen in fake.seen if is_blob(seen)]) == 1


def test_a_document_of_single_bytes(fake: FakeRegistry, store: ImageStore, hasty: Settings) -> None:
    def hook(handler: Handler, seen: Seen) -> bool:
        if seen.method != "GET" or "manifests" not in seen.path:
            return False
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        drip(handler, b" " * 100_000)
        return True

    fake.hook = hook
    with pytest.raises(RegistryUnreachable, match="ROOTLAY_SPEED_LIMIT"):
        pull(store, f"{fake.host}/app:1", hasty)
    assert fake.count("GET", "manifests") == ATTEMPTS


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 O", b""])
def test_a_head_of_single_bytes(fake: FakeRegistry, store: ImageStore, hasty: Settings, head: bytes) -> None:
    """The socket's own timeout starts again with each byte."""

    def hook(handler: Handler, seen: Seen) -> bool:
        if "manifests" not in seen.path:
            return False
        handler.wfile.write(head)
        drip(handler, b"x" * 50_000)
        return True

    fake.hook = hook
    with pytest.raises(RegistryUnreachable):
        pull(store, f"{fake.host}/app:1", hasty)


def test_an_upload_that_nobody_takes(store: ImageStore, tmp_path: Path, hasty: Settings) -> None:
    """A server that reads a byte now and then, and has hardly any room for the rest."""
    tar = tmp_path / "a.tar"
    tar.write_bytes(make_tar([("f", "f", os.urandom(4_000_000))]))
    store.import_rootfs(tar, "app:1")
    done = threading.Event()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind(("127.0.0.1", 0))
    listener.listen()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=answer, args=(client,), daemon=True).start()

    def answer(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while head := read_head(client):
                length = int(re.findall(rb"Content-Length: (\d+)", head)[0]) if b"Content-Length" in head else 0
                if length > 100_000:
                    while not done.wait(0.02):
                        client.recv(1)
                    return
                for _ in range(length):
                    client.recv(1)
                status = {b"POST": b"202 Accepted", b"PUT ": b"201 Created"}.get(head[:4], b"404 Not Found")
                client.sendall(b"HTTP/1.1 " + status + b"\r\nLocation: /v2/up/1\r\nContent-Length: 0\r\n\r\n")

    threading.Thread(target=serve, daemon=True).start()
    try:
        with pytest.raises(RegistryUnreachable, match="timed out"):
            push(store, "app:1", hasty, target=f"127.0.0.1:{listener.getsockname()[1]}/x:1")
    finally:
        done.set()
        listener.close()


def read_head(client: socket.socket) -> bytes:
    found = b""
    while not found.endswith(b"\r\n\r\n") and (byte := client.recv(1)):
        found += byte
    return found


def test_only_waiting_counts() -> None:
    pace = Pace(100, 10)
    assert pace.took(9.9, 0) == ""
    assert pace.took(0.1, 1000) == ""  # 100 a second
    assert pace.took(5, 10) == ""
    assert pace.took(5, 10) == "only 20 bytes in 10 s (ROOTLAY_SPEED_LIMIT and ROOTLAY_SPEED_TIME say what is too slow)"
    assert Pace(0, 1).took(100, 0) == ""


def test_the_environment_says_what_is_too_slow(tmp_path: Path) -> None:
    def settings(**environ: str) -> Settings:
        values = Values({"cacert": None, "plain_http": False})
        return settings_of(values, Context(tmp_path, environ, *standard_streams()))

    assert settings() == replace(Settings(), docker_config=settings().docker_config)
    found = settings(ROOTLAY_SPEED_LIMIT="5000", ROOTLAY_SPEED_TIME="7")
    assert (found.speed_limit_bytes, found.speed_time_s) == (5000, 7)
    assert settings(ROOTLAY_SPEED_LIMIT="0").speed_limit_bytes == 0
    for bad in ("1k", "-1", "9" * 20):
        with pytest.raises(UsageError, match=r"ROOTLAY_SPEED_LIMIT=.*expected a number"):
            settings(ROOTLAY_SPEED_LIMIT=bad)

"""A registry may choose the text of its answers, but never what the terminal does.

Each field that it can fill holds what could move the cursor, at each step of pull, push, login, manifest and build, and
all bytes that we print are checked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay
from tests.cli.test_escapes import EVIL, clean
from tests.support.archives.make import INDEX, MANIFEST
from tests.support.registry.fake import FakeRegistry, Handler, Seen, describe
from tests.support.registry.faulty import faulty_fake

pytestmark = pytest.mark.slow

HEADER = EVIL.replace("\r", "").replace("\n", "").encode().decode("latin-1")  # bytes on the wire, as http.server wants
ERRORS = json.dumps({"errors": [{"code": EVIL, "message": EVIL, "detail": {EVIL: EVIL}}], "message": EVIL}).encode()
EVIL_INDEX = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "annotations": {EVIL: EVIL},
        "manifests": [
            {
                **describe(b"{}", MANIFEST),
                "platform": {"os": EVIL, "architecture": EVIL, "variant": EVIL, "os.version": EVIL},
                "annotations": {EVIL: EVIL},
            }
        ],
    }
).encode()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeRegistry]:
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    found = faulty_fake()
    yield found
    found.stop()


def reason(handler: Handler, status: int) -> None:
    """An answer whose reason phrase is evil, too."""
    head = f"HTTP/1.1 {status} {HEADER}\r\nX-{EVIL[:1]}: {HEADER}\r\nContent-Length: {len(ERRORS)}\r\n"
    head += f"Content-Type: application/{HEADER}\r\nRetry-After: 0\r\n\r\n"
    handler.wfile.write(head.encode("latin-1") + ERRORS)


def challenge(kind: str) -> str:
    return f'{kind} realm="http://{HEADER}/token",service="{HEADER}",scope="{HEADER}",error="{HEADER}"'


Answer = Callable[[Handler, Seen, FakeRegistry], object]
ANSWERS: dict[str, Answer] = {
    **{f"{status}": lambda h, s, f, status=status: reason(h, status) for status in (400, 403, 404, 409, 418)},  # type: ignore[misc]  # a default argument
    "bearer": lambda h, s, f: h.reply(401, ERRORS, WWW_Authenticate=challenge("Bearer")),
    "basic": lambda h, s, f: h.reply(401, ERRORS, WWW_Authenticate=challenge("Basic")),
    "another scheme": lambda h, s, f: h.reply(401, ERRORS, WWW_Authenticate=challenge(HEADER)),
    "token server": lambda h, s, f: (
        h.reply(403, ERRORS, X_Evil=HEADER)
        if s.path.startswith("/token")
        else h.reply(401, WWW_Authenticate=f'Bearer realm="http://{f.host}/token",service="x{HEADER}"')
    ),
    "redirect": lambda h, s, f: h.reply(307, Location=f"http://{HEADER}/{HEADER}"),
    "redirect to a scheme": lambda h, s, f: h.reply(307, Location=f"{HEADER}://x/"),
    "digest": lambda h, s, f: h.reply(200, b"{}", Content_Type=MANIFEST, Docker_Content_Digest=HEADER),
    "media type": lambda h, s, f: h.reply(200, b"{}", Content_Type=f"application/{HEADER}"),
    "evil index": lambda h, s, f: h.reply(200, EVIL_INDEX, Content_Type=INDEX),
    "evil media type inside": lambda h, s, f: h.reply(
        200, json.dumps({"schemaVersion": 2, "mediaType": EVIL, "config": {"mediaType": EVIL}}).encode()
    ),
    "an encoding": lambda h, s, f: h.reply(200, b"{}", Content_Encoding=HEADER),
}
TRIED_AGAIN: dict[str, Answer] = {  # each takes as long as all attempts: one verb will do
    "429": lambda h, s, f: reason(h, 429),
    "500": lambda h, s, f: reason(h, 500),
    "not HTTP": lambda h, s, f: h.wfile.write(f"{EVIL}\r\n\r\n".encode()) and h.cut(),
}


def evil(fake: FakeRegistry, answer: Answer) -> Callable[[Handler, Seen], bool]:
    """A hook that always answers so."""

    def hook(handler: Handler, seen: Seen) -> bool:
        answer(handler, seen, fake)
        return True

    return hook


@pytest.mark.parametrize("name", ANSWERS)
def test_a_registry_does_not_reach_the_terminal(fake: FakeRegistry, small: Rootlay, tmp_path: Path, name: str) -> None:
    """At every request, and only after the manifest (blobs, uploads)."""

    everywhere = evil(fake, ANSWERS[name])

    def later(handler: Handler, seen: Seen) -> bool:
        return ("/blobs/" in seen.path or seen.method in ("POST", "PUT", "PATCH")) and everywhere(handler, seen)

    app = f"{fake.host}/app:1"
    (tmp_path / "Dockerfile").write_text(f"FROM {app}\nRUN true\n")
    (tmp_path / "Dockerfile.add").write_text(f"FROM small\nADD http://{fake.host}/x /x\n")
    for hook in (everywhere, later):
        fake.hook = hook
        for words in (
            ("pull", app),
            ("pull", "--platform", "linux/arm64", app),
            ("push", "small", f"{fake.host}/new:1"),
            ("login", "-u", "u", "--password-stdin", fake.host),
            ("manifest", "inspect", app),
            ("search", f"{fake.host}/x"),
            ("build", "-t", "made", str(tmp_path)),
            ("build", "--progress", "plain", "-f", str(tmp_path / "Dockerfile.add"), str(tmp_path)),
        ):
            clean(small(*words, code=None, input=b"password\n"))
    assert fake.seen


def answering(fake: FakeRegistry, body: bytes) -> None:
    fake.hook = lambda handler, seen: handler.reply(200, body) or True


def test_a_result_of_a_search_is_one_line_of_plain_text(fake: FakeRegistry, small: Rootlay) -> None:
    results = [{"name": f"a\t{EVIL}b", "description": f"c\t{EVIL}d", "star_count": 7, "is_official": True}, {}]
    answering(fake, json.dumps({"results": results}).encode())
    done = small("search", "--no-trunc", f"{fake.host}/x")
    clean(done)
    _, first, second = done.stdout.decode().splitlines()
    assert first.startswith(r"a\tE\x1b[31m")
    assert first.split()[-2:] == ["7", "[OK]"]
    assert second.split() == ["0"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"results": 3}',
        b'{"results": [3]}',
        b'{"results": [{"star_count": "many"}]}',
        b'{"results": [{"star_count": ' + b"9" * 5000 + b"}]}",
        b'{"results": [{"name": {}}]}',
        b'{"results": [{"is_official": "yes"}]}',
        b'{"results":' + b"[" * 100_000,
        b" " * (5 << 20),
    ],
    ids=lambda body: body[:40].decode(),
)
def test_an_odd_answer_to_a_search_is_one_error(fake: FakeRegistry, small: Rootlay, body: bytes) -> None:
    answering(fake, body)
    assert "127.0.0.1" in small.fails("search", f"{fake.host}/x", code=44)


@pytest.mark.parametrize("name", TRIED_AGAIN)
def test_nor_after_all_attempts(fake: FakeRegistry, small: Rootlay, name: str) -> None:
    fake.hook = evil(fake, TRIED_AGAIN[name])
    clean(small("pull", f"{fake.host}/app:1", code=None))
    assert fake.seen

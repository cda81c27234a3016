"""Answers of a registry that lies, and what a pull makes of each: the list that SECURITY.md's promise rests on.

A lie is told at one place of a pull (`where`): to the request for the manifest, the config, the layer or a token.
"""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from rootlay.store.model.errors import BadManifest, DigestMismatch, RootlayError, UnsupportedMedia
from rootlay.store.registry.errors import (
    AccessDenied,
    BadRegistryAnswer,
    NotInRegistry,
    RegistryRefused,
    RegistryUnreachable,
)
from tests.support.archives.make import INDEX, MANIFEST, make_config, sha256
from tests.support.registry.fake import CONFIG, LAYER_GZIP, FakeRegistry, Handler, describe
from tests.support.registry.faulty import BLOB, SECRET, TAR

_LAYER = describe(BLOB, LAYER_GZIP)
_CONFIG = describe(make_config([TAR]), CONFIG)
_PIECE = b"x" * 65536
# What an endless answer has to offer; nobody may take it all.
ENDLESS_BYTES = 1 << 30


@dataclass
class Scene:
    """The fake, another host that takes down all it is asked, and what an endless answer got rid of, in bytes."""

    fake: FakeRegistry
    elsewhere: FakeRegistry
    sent: int = 0
    told: int = field(default=0)


Tell = Callable[[Handler, Scene], None]


@dataclass(frozen=True)
class Lie:
    """`outcome`: the error of the pull; None: it succeeds, with the right image."""

    where: str
    tell: Tell
    outcome: type[RootlayError] | None


def raw(data: bytes) -> Tell:
    """These bytes and the end."""

    def tell(handler: Handler, scene: Scene) -> None:
        handler.wfile.write(data)
        handler.cut()

    return tell


def endless(head: bytes, piece: bytes) -> Tell:
    """`head`, and `piece` again and again."""

    def tell(handler: Handler, scene: Scene) -> None:
        handler.close_connection = True
        with contextlib.suppress(OSError):
            handler.wfile.write(head)
            while scene.sent < ENDLESS_BYTES:
                handler.wfile.write(piece)
                scene.sent += len(piece)

    return tell


def answer(status: int, body: bytes = b"", **headers: str) -> Tell:
    """An ordinary answer."""
    return lambda handler, scene: handler.reply(status, body, **headers)


def ok(headers: str) -> bytes:
    """The head of an answer 200."""
    return f"HTTP/1.1 200 OK\r\n{headers}\r\n\r\n".encode("latin-1")


def to_elsewhere(url: str) -> Tell:
    """A redirect to the other host, by a URL with `HOST` in it."""
    return lambda handler, scene: handler.reply(307, Location=url.replace("HOST", scene.elsewhere.host))


def document(**changes: object) -> bytes:
    """The manifest of `app:1` with changes."""
    layer = {**_LAYER, **changes.pop("layer", {})}  # type: ignore[dict-item]  # a dict
    found = {"schemaVersion": 2, "mediaType": MANIFEST, "config": _CONFIG, "layers": [layer]}
    return json.dumps({**found, **changes}).encode()


def manifest(data: bytes, **headers: str) -> Tell:
    """This document as the manifest."""
    return answer(200, data, **{"Content_Type": MANIFEST, **headers})


def indexes(depth: int) -> Tell:
    """An index of an index of an index …"""

    def tell(handler: Handler, scene: Scene) -> None:
        data = document()
        for _ in range(depth):
            digest = scene.fake.put("app:deep", data, MANIFEST if data == document() else INDEX)
            kind = scene.fake.manifests["app:deep"][0]
            inner = {"mediaType": kind, "digest": digest, "size": len(data)}
            data = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [inner]}).encode()
        handler.reply(200, data, Content_Type=INDEX)

    return tell


def one_index(digest: str) -> bytes:
    """An index of one manifest."""
    inner = {"mediaType": MANIFEST, "digest": digest, "size": 10}
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [inner]}).encode()


def resumed(status: int, content_range: str) -> Tell:
    """A layer that is cut in the middle; the rest comes with this Content-Range."""

    def tell(handler: Handler, scene: Scene) -> None:
        if "Range" in handler.headers:
            handler.reply(status, BLOB[500_000:], Content_Range=content_range)
            return
        handler.wfile.write(ok(f"Content-Length: {len(BLOB)}") + BLOB[:500_000])
        handler.cut()

    return tell


def token(body: bytes, status: int = 200, **headers: str) -> Tell:
    """This as the answer of the token server, which the registry sends us to."""

    def tell(handler: Handler, scene: Scene) -> None:
        if handler.path.startswith("/token"):
            handler.reply(status, body, **headers)
        elif handler.headers.get("Authorization", "").startswith("Bearer"):
            scene.fake.answer(handler, scene.fake.seen[-1])
        else:
            handler.reply(401, WWW_Authenticate=f'Bearer realm="http://{scene.fake.host}/token"')

    return tell


CHUNKED = "Transfer-Encoding: chunked"
_LONG = "9" * 5000
_HERE = "/v2/app/manifests/1"
_JSON = document()
_OTHER = gzip.compress(b"other", 0)

LIES: dict[str, Lie] = {
    # Where it sends us
    **{
        f"{where} redirected to {url[:40]!r}": Lie(where, to_elsewhere(url), BadRegistryAnswer)
        for where in ("manifest", "layer")
        for url in (
            "file:///etc/passwd", "ftp://HOST/", "gopher://HOST/", "data:text/plain,x", "http://", "http://[::1",
            "//:9/", f"http://alice:{SECRET}@HOST/", "http://HOST\\@127.0.0.1/", "http://HOST:99999/", "http://HOST/\t/x",
            "http://" + "h" * 20_000,
        )
    },
    "manifest redirected elsewhere": Lie("manifest", to_elsewhere("http://HOST/v2/app/manifests/1"), None),
    "config redirected elsewhere": Lie("config", to_elsewhere("http://HOST/config"), None),
    "layer redirected elsewhere": Lie("layer", to_elsewhere("http://HOST/layer"), None),
    "layer redirected to other content": Lie("layer", to_elsewhere("http://HOST/v2/app/manifests/1"), DigestMismatch),
    "redirects without end": Lie("manifest", answer(302, Location=_HERE), BadRegistryAnswer),
    "a redirect to nowhere": Lie("manifest", answer(302), BadRegistryAnswer),
    # Answers without end
    **{
        f"{where}: {kind}": Lie(where, tell, outcome)
        for where in ("manifest", "config", "layer")
        for kind, tell, outcome in (
            ("a header line without end", endless(b"HTTP/1.1 200 OK\r\nA: ", _PIECE), RegistryUnreachable),
            ("headers without end", endless(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 1000), RegistryUnreachable),
            ("a status line without end", endless(b"HTTP/1.1 200 ", _PIECE), RegistryUnreachable),
            ("a chunk's size without end", endless(ok(CHUNKED), b"0" * 65536), RegistryUnreachable),
        )
    },
    "manifest: chunks without end": Lie(
        "manifest", endless(ok(CHUNKED), b"10000\r\n" + _PIECE + b"\r\n"), BadRegistryAnswer
    ),
    "manifest: a body without end": Lie("manifest", endless(ok("Connection: close"), _PIECE), BadRegistryAnswer),
    "manifest: a terabyte": Lie("manifest", endless(ok(f"Content-Length: {1 << 40}"), _PIECE), BadRegistryAnswer),
    "config: chunks without end": Lie("config", endless(ok(CHUNKED), b"10000\r\n" + _PIECE + b"\r\n"), DigestMismatch),
    "config: a body without end": Lie("config", endless(ok("Connection: close"), _PIECE), DigestMismatch),
    "layer: chunks without end": Lie("layer", endless(ok(CHUNKED), b"10000\r\n" + _PIECE + b"\r\n"), RootlayError),
    "layer: a body without end": Lie("layer", endless(ok("Connection: close"), _PIECE), RootlayError),
    "layer: a terabyte": Lie("layer", endless(ok(f"Content-Length: {1 << 40}"), _PIECE), DigestMismatch),
    "an error without end": Lie(
        "manifest", endless(b"HTTP/1.1 404 No\r\n" + CHUNKED.encode() + b"\r\n\r\n", b"10000\r\n" + _PIECE + b"\r\n"),
        NotInRegistry,
    ),
    "trouble without end": Lie(
        "manifest", endless(b"HTTP/1.1 500 No\r\nConnection: close\r\n\r\n", _PIECE), RegistryUnreachable
    ),
    "a refusal without end": Lie(
        "manifest", endless(b"HTTP/1.1 401 No\r\nConnection: close\r\n\r\n", _PIECE), AccessDenied
    ),
    # Wrong lengths
    "manifest: shorter than said": Lie("manifest", raw(ok("Content-Length: 9999") + _JSON), RegistryUnreachable),
    "manifest: longer than said": Lie("manifest", raw(ok("Content-Length: 9") + _JSON), BadManifest),
    "manifest: two lengths": Lie(
        "manifest", raw(ok(f"Content-Length: 9\r\nContent-Length: {len(_JSON)}") + _JSON), RegistryUnreachable
    ),
    "manifest: a chunk that is none": Lie("manifest", raw(ok(CHUNKED) + b"zz\r\n" + _JSON), RegistryUnreachable),
    "manifest: a huge chunk": Lie("manifest", raw(ok(CHUNKED) + b"f" * 30 + b"\r\n" + _JSON), RegistryUnreachable),
    "layer: shorter than said": Lie("layer", raw(ok(f"Content-Length: {len(BLOB)}") + BLOB[:99]), RegistryUnreachable),
    "layer: longer": Lie("layer", answer(200, BLOB + b"x"), DigestMismatch),
    "layer: shorter": Lie("layer", answer(200, BLOB[:-1]), DigestMismatch),
    "layer: nothing": Lie("layer", answer(200), DigestMismatch),
    **{
        f"layer: a length of {length[:8]!r}": Lie("layer", raw(ok(f"Content-Length: {length}") + BLOB), outcome)
        for length, outcome in (("-5", None), ("\xb2", None), ("1e3", None), (_LONG, None), ("0x10", None))
    },
    # Encodings and content
    "manifest: gzip that nobody asked for": Lie(
        "manifest", manifest(gzip.compress(_JSON), Content_Encoding="gzip"), BadManifest
    ),
    "manifest: gzip, with the digest of what is in it": Lie(
        "manifest",
        manifest(gzip.compress(_JSON), Content_Encoding="gzip", Docker_Content_Digest=sha256(_JSON)),
        DigestMismatch,
    ),
    "manifest: a bomb": Lie(
        "manifest", manifest(gzip.compress(bytes(50 << 20)), Content_Encoding="gzip"), BadManifest
    ),
    "config: gzip": Lie(
        "config", answer(200, gzip.compress(make_config([TAR])), Content_Encoding="gzip"), DigestMismatch
    ),
    "layer: gzip of gzip": Lie("layer", answer(200, gzip.compress(BLOB, 1), Content_Encoding="gzip"), DigestMismatch),
    "layer: one byte": Lie("layer", answer(200, BLOB[:-9] + bytes([BLOB[-9] ^ 1]) + BLOB[-8:]), DigestMismatch),
    "layer: other gzip": Lie("layer", answer(200, _OTHER + bytes(len(BLOB) - len(_OTHER))), DigestMismatch),
    "config: another": Lie("config", answer(200, make_config([TAR]).replace(b"A=b", b"A=c")), DigestMismatch),
    "manifest: another digest": Lie(
        "manifest", manifest(_JSON, Docker_Content_Digest=sha256(b"other")), DigestMismatch
    ),
    "manifest: a digest that is none": Lie("manifest", manifest(_JSON, Docker_Content_Digest="md5:x"), BadManifest),
    "manifest: a login page": Lie("manifest", answer(200, b"<html>", Content_Type="text/html"), BadManifest),
    "manifest: deep": Lie("manifest", manifest(b'{"a":' + b"[" * 500_000), BadManifest),
    "manifest: a long number": Lie("manifest", manifest(b'{"schemaVersion": ' + b"9" * 5000 + b"}"), BadManifest),
    "manifest: no text": Lie("manifest", manifest(b"\xff\xfe\0"), BadManifest),
    "manifest: schema version 1": Lie("manifest", manifest(b'{"schemaVersion": 1}'), UnsupportedMedia),
    "manifest: an index too deep": Lie("manifest", indexes(20), BadManifest),
    "manifest: an index of what is not there": Lie(
        "manifest", answer(200, one_index("sha256:" + "0" * 64), Content_Type=INDEX), NotInRegistry
    ),
    **{
        f"manifest: a layer with {name}": Lie("manifest", manifest(document(layer=change)), outcome)
        for name, change, outcome in (
            ("a negative size", {"size": -1}, BadManifest),
            ("a huge size", {"size": 2**80}, RootlayError),
            ("a size that is none", {"size": "10"}, BadManifest),
            ("a true size", {"size": True}, BadManifest),
            ("half a byte", {"size": 1.5}, BadManifest),
            ("a path as its digest", {"digest": "sha256:../../../../etc/passwd"}, BadManifest),
            ("an unknown algorithm", {"digest": "md4:" + "0" * 32}, RootlayError),
            ("an odd type", {"mediaType": "application/\x1b[2J"}, None),
            ("annotations that are none", {"annotations": [1]}, BadManifest),
        )
    },
    "manifest: more layers than diff IDs": Lie("manifest", manifest(document(layers=[_LAYER] * 9)), BadManifest),
    "manifest: ten thousand layers": Lie("manifest", manifest(document(layers=[_LAYER] * 10_000)), BadManifest),
    "manifest: a config of a terabyte": Lie(
        "manifest", manifest(document(config={**_CONFIG, "size": 1 << 40})), BadManifest
    ),
    # Not HTTP, or hardly
    **{
        f"manifest: {name}": Lie("manifest", raw(data), outcome)
        for name, data, outcome in (
            ("nothing", b"", RegistryUnreachable),
            ("another protocol", b"SSH-2.0-OpenSSH_9.2\r\n", RegistryUnreachable),
            ("TLS in the clear", b"\x15\x03\x01\x00\x02\x02\x16", RegistryUnreachable),
            ("status abc", b"HTTP/1.1 abc OK\r\n\r\n", RegistryUnreachable),
            ("status 99999", b"HTTP/1.1 99999 OK\r\n\r\n", RegistryUnreachable),
            ("status 0", b"HTTP/1.1 000 OK\r\n\r\n", RegistryUnreachable),
            ("status 999", b"HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n", RegistryRefused),
            ("status 204", b"HTTP/1.1 204 No Content\r\n\r\n", RegistryRefused),
            ("a part", b"HTTP/1.1 206 Part\r\nContent-Length: 0\r\n\r\n", RegistryRefused),
        )
    },
    "layer: a part that nobody asked for": Lie(
        "layer", answer(206, BLOB[10:], Content_Range="bytes 10-"), RegistryRefused
    ),
    **{
        f"layer: the rest as {text[:20]!r}": Lie("layer", resumed(206, text), BadRegistryAnswer)
        for text in ("", "bytes 0-5/6", "bytes 600000-600005/700000", f"bytes {_LONG}-{_LONG}/*", "bytes \xb2-\xb3/*")
    },
    # Waiting
    **{
        f"429, Retry-After: {text[:12]!r}": Lie("manifest", answer(429, Retry_After=text), RegistryUnreachable)
        for text in ("\xb2", _LONG, "-1", "nan", "inf", "Thu, 01 Jan 99999 00:00:00 GMT", "Thu, 99 Foo", "1e400")
    },
    # Credentials
    "401 for ever": Lie("manifest", answer(401, WWW_Authenticate='Basic realm="x"'), AccessDenied),
    "401 that asks for nothing": Lie("manifest", answer(401), AccessDenied),
    "401 with half a challenge": Lie("manifest", answer(401, WWW_Authenticate='Bearer realm="'), AccessDenied),
    **{
        f"tokens from {realm!r}": Lie(
            "manifest", answer(401, WWW_Authenticate=f'Bearer realm="{realm}"'), BadRegistryAnswer
        )
        for realm in ("file:///etc/passwd", "nonsense", f"http://a:{SECRET}@b/")
    },
    "a token that is none": Lie("token", token(b"{}"), BadRegistryAnswer),
    "a token of two lines": Lie("token", token(b'{"token": "a\\nb: c"}'), BadRegistryAnswer),
    "a token of a megabyte": Lie("token", token(b'{"token": "' + b"x" * (1 << 20) + b'"}'), BadRegistryAnswer),
    "a token for a googol of seconds": Lie("token", token(b'{"token": "t", "expires_in": 1' + b"0" * 400 + b"}"), None),
    "a token for minus one second": Lie("token", token(b'{"token": "t", "expires_in": -1}'), None),
    "a token that is elsewhere": Lie("token", token(b"", 302, Location="http://127.0.0.1:1/"), BadRegistryAnswer),
    # Words
    "a message that clears the screen": Lie(
        "manifest", answer(403, b'{"errors": [{"message": "\\u001b[2J\\u202e"}]}'), AccessDenied
    ),
    "errors that are none": Lie("manifest", answer(418, b'{"errors": [7]}'), RegistryRefused),
}  # fmt: skip

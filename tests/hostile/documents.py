"""Image layouts whose documents lie, each with the error that it must have (or `ok`)."""

# ruff: noqa: E501 -- tables: one case is one line

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.hostile.tarbytes import END, entry

Json = dict[str, Any]
OCI = "application/vnd.oci.image."
OK = "ok"


@dataclass
class Layout:
    """A sound layout, to be spoiled before it is written: first the documents' objects, then their bytes."""

    config: Json
    manifest: Json
    index: Json
    layer: bytes
    raw: dict[str, bytes] = field(default_factory=dict)  # document -> its bytes instead
    blobs: dict[str, bytes] = field(default_factory=dict)  # further files by path
    descriptors: Callable[[Json, Json], None] = lambda manifest, index: None  # the last word on both

    @classmethod
    def sound(cls) -> Layout:
        """One layer, all true."""
        layer = entry(b"f", content=b"x") + END
        digest = digest_of(layer)
        run = {"Env": ["A=b"], "Cmd": ["x"], "WorkingDir": "/", "Labels": {"l": "v"}}
        rootfs = {"type": "layers", "diff_ids": [digest]}
        config = {"os": "linux", "architecture": "amd64", "config": run, "rootfs": rootfs, "history": []}
        one = {"mediaType": OCI + "layer.v1.tar", "digest": digest, "size": len(layer)}
        manifest = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "layers": [one]}
        return cls(config, manifest, {"schemaVersion": 2}, layer)

    def write(self, root: Path) -> None:
        """Write it as a directory."""
        (root / "blobs" / "sha256").mkdir(parents=True)
        (root / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        self._blob(root, self.layer)
        config = self.raw.get("config") or json.dumps(self.config).encode()
        described = {"mediaType": OCI + "config.v1+json", "digest": self._blob(root, config), "size": len(config)}
        self.manifest.setdefault("config", described)
        self.index.setdefault("manifests", [{"mediaType": OCI + "manifest.v1+json", "digest": "", "size": 0}])
        self.descriptors(self.manifest, {})
        manifest = self.raw.get("manifest") or json.dumps(self.manifest).encode()
        digest = self._blob(root, manifest)
        for one in self.index["manifests"]:
            if one.get("digest") == "":
                one.update(digest=digest, size=len(manifest))
        for path, data in self.blobs.items():
            (root / path).write_bytes(data)
        (root / "index.json").write_bytes(self.raw.get("index") or json.dumps(self.index).encode())

    @staticmethod
    def _blob(root: Path, data: bytes) -> str:
        digest = digest_of(data)
        (root / "blobs" / "sha256" / digest[7:]).write_bytes(data)
        return digest


def digest_of(data: bytes) -> str:
    """`sha256:…`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Lie:
    """What is spoiled, and what that must lead to."""

    name: str
    outcome: str
    spoil: Callable[[Layout], object]


def all_lies() -> Iterator[Lie]:
    """Every one."""
    other = "sha256:" + "0" * 64
    yield Lie("nothing", OK, lambda x: None)
    for word, digest, outcome in (
        ("of another blob", other, "BadManifest"), ("that leads out", "sha256:../../../../etc/passwd", "BadManifest"),
        ("with a slash", "sha256:" + "a/" * 32, "BadManifest"), ("in upper case", "sha256:" + "A" * 64, "BadManifest"),
        ("too short", "sha256:abc", "BadManifest"), ("of an unknown algorithm", "md5:" + "0" * 32, "BadManifest"),
        ("with a newline", other + "\n", "BadManifest"), ("with NUL", "sha256:\0" + "0" * 63, "BadManifest"),
        ("without an algorithm", "0" * 64, "BadManifest"), ("of a million characters", "sha256:" + "0" * 1_000_000, "BadManifest"),
        ("that is no text", 7, "BadManifest"), ("with a lone surrogate", "sha256:\ud800", "BadManifest"),
    ):  # fmt: skip
        yield Lie(f"a layer's digest {word}", outcome, lambda x, d=digest: x.manifest["layers"][0].update(digest=d))  # type: ignore[misc]
        yield Lie(
            f"a diff ID {word}",
            "DigestMismatch" if digest == other else outcome,
            lambda x, d=digest: x.config["rootfs"].update(diff_ids=[d]),  # type: ignore[misc]
        )
        yield Lie(
            f"a manifest's digest {word}",
            outcome,
            lambda x, d=digest: x.index.update(  # type: ignore[misc]
                manifests=[{"mediaType": OCI + "manifest.v1+json", "digest": d, "size": 5}]
            ),
        )
    value: object
    for word, size, outcome in (
        ("one more", 2049, "DigestMismatch"), ("0", 0, "DigestMismatch"), ("negative", -1, "BadManifest"), ("a fraction", 1.5, "BadManifest"),
        ("true", True, "BadManifest"), ("a text", "9", "BadManifest"), ("null", None, "BadManifest"), ("2^70", 1 << 70, "DigestMismatch"),
    ):  # fmt: skip
        yield Lie(f"a layer's size {word}", outcome, lambda x, s=size: x.manifest["layers"][0].update(size=s))  # type: ignore[misc]
    for word, member, value, outcome in (
        ("schema version 1", "schemaVersion", 1, "BadManifest"), ("schema version true", "schemaVersion", True, "BadManifest"),
        ("no layers", "layers", None, "BadManifest"), ("layers of text", "layers", ["x"], "BadManifest"), ("layers an object", "layers", {}, "BadManifest"),
        ("a config of text", "config", "x", "BadManifest"), ("annotations of numbers", "annotations", {"a": 1}, "BadManifest"),
        ("another media type", "mediaType", "text/html", "BadManifest"), ("an index's media type", "mediaType", OCI + "index.v1+json", "BadManifest"),
    ):  # fmt: skip
        yield Lie(f"a manifest with {word}", outcome, lambda x, m=member, v=value: x.manifest.update({m: v}))  # type: ignore[misc]
    yield Lie(
        "10000 layers and one diff ID", "BadManifest", lambda x: x.manifest.update(layers=x.manifest["layers"] * 10_000)
    )
    yield Lie("one layer 2000 times", OK, _many)
    deep = b"[" * 100_000
    for document in ("index", "manifest", "config"):
        for word, data in (
            ("of 100000 levels", b'{"a":' + deep + b"]" * 100_000 + b"}"), ("cut", b'{"schemaVersion":2,'), ("of NULs", bytes(100)),
            ("not UTF-8", b'{"a":"\xff\xfe"}'), ("a number", b"7"), ("a number of 10000 digits", b'{"schemaVersion":' + b"9" * 10_000 + b"}"),
            ("of 5 MiB", b'{"a":"' + b"x" * (5 << 20) + b'"}'), ("a list", b"[]"), ("NaN", b'{"schemaVersion":NaN}'),
        ):  # fmt: skip
            yield Lie(f"a {document} {word}", "BadManifest", lambda x, k=document, d=data: x.raw.update({k: d}))  # type: ignore[misc]
    yield Lie("an index of itself", "BadManifest", _circle)
    yield Lie("an index of nothing", "BadManifest", lambda x: x.index.update(manifests=[]))
    for word, member, value, outcome in (
        ("another machine", "architecture", "s390x", "WrongPlatform"), ("no rootfs", "rootfs", None, "BadManifest"),
        ("a rootfs of another type", "rootfs", {"type": "zip"}, "BadManifest"), ("history of text", "history", ["x"], "BadManifest"),
        ("an os that is a list", "os", ["linux"], "BadManifest"), ("created in no time", "created", "\x1b[2J", OK),
        ("an author with escapes", "author", "\x1b]0;x\x07\x1b[2J\ud800", OK),
        ("history with escapes", "history", [{"created_by": "\x1b[2Jx\ud800", "comment": "\n\r\x9b"}], OK),
    ):  # fmt: skip
        yield Lie(f"a config with {word}", outcome, lambda x, m=member, v=value: x.config.update({m: v}))  # type: ignore[misc]
    for member, value, outcome in (
        ("Env", ["A\0B=c"], OK), ("Env", "A=b", "BadManifest"), ("Env", ["=x", "no", "\ud800=1"], OK), ("Cmd", [1], "BadManifest"),
        ("WorkingDir", "../../..", OK), ("WorkingDir", "/a\0b", OK), ("User", "../../x:\0", OK), ("User", 0, "BadManifest"),
        ("Volumes", {"../../etc": {}, "/\0": {}}, OK), ("Labels", {"a\x1b[2J": "\x1b]0;x\x07"}, OK), ("Labels", {"a": 1}, "BadManifest"),
        ("ExposedPorts", {"99999999/x": {}}, OK), ("StopSignal", "SIGX; rm", OK), ("Entrypoint", ["/../../bin/sh\0"], OK),
    ):  # fmt: skip
        yield Lie(f"{member} {value!r}", outcome, lambda x, m=member, v=value: x.config["config"].update({m: v}))  # type: ignore[misc]
    for name in ("../../x", "\x1b[2J", "a" * 300, "UPPER", "a b", "a:b:c", "\ud800", "-x", "host"):
        yield Lie(
            f"the name {name!r}",
            OK,
            lambda x, n=name: x.index.update(  # type: ignore[misc]
                manifests=[
                    {
                        "mediaType": OCI + "manifest.v1+json",
                        "digest": "",
                        "size": 0,
                        "annotations": {"org.opencontainers.image.ref.name": n},
                    }
                ]
            ),
        )


def _many(x: Layout) -> None:
    x.manifest["layers"] *= 2000
    x.config["rootfs"]["diff_ids"] *= 2000


def _circle(x: Layout) -> None:
    media = OCI + "index.v1+json"
    body = b""
    digest = ""
    for _ in range(12):  # a digest of itself cannot be made: twelve indexes in each other
        inner = {"mediaType": media, "digest": digest or digest_of(b""), "size": len(body)}
        body = json.dumps({"schemaVersion": 2, "mediaType": media, "manifests": [inner]}).encode()
        digest = digest_of(body)
        x.blobs[f"blobs/sha256/{digest[7:]}"] = body
    x.index["manifests"] = [{"mediaType": media, "digest": digest, "size": len(body)}]

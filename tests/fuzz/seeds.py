"""What fuzzing starts from: small sound inputs of each kind, made here, and those in `corpus/` that once failed."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import stat
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import zstandard

from rootlay.store.bundle.format import ALIGNMENT, HEADER_BYTES, Table
from rootlay.store.bundle.format import BundleHeader as Header
from rootlay.store.model.digest import Digest
from rootlay.store.model.entry import Entry, EntryType
from rootlay.store.tar.writer import encode_entry, padding
from tests.fuzz.targets import TARGETS
from tests.support.boxes.deltafile import write_delta
from tests.support.boxes.viewfile import Node, write_view

CORPUS = Path(__file__).parent / "corpus"
_DIGEST = "sha256:" + "ab" * 32


def _tar() -> list[bytes]:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, link in (
            ("d", b"5", ""), ("d/f", b"0", ""), ("d/l", b"2", "f"), ("d/h", b"1", "d/f"), ("c", b"3", ""),
            ("p", b"6", ""), ("d/.wh.x", b"0", ""), ("d/.wh..wh..opq", b"0", ""), ("n" * 150, b"0", ""),
            ("low", b"1", "below"),
        ):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, link, 5 if name == "d/f" else 0
            tar.addfile(info, io.BytesIO(b"hello"))
    gnu = io.BytesIO()
    with tarfile.open(fileobj=gnu, mode="w", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("g" * 150))
    sparse = Entry(EntryType.FILE, size=10_000, sparse=((100, 5), (9000, 1000)))
    header, count = encode_entry(b"sparse", sparse)
    xattrs, _ = encode_entry(b"x" * 200, Entry(EntryType.DIRECTORY, xattrs=((b"user.a", b"v"),), mtime_ns=-5))
    return [out.getvalue()[:8192], gnu.getvalue()[:4096], header + bytes(count) + padding(count) + xattrs]


def _pax() -> list[bytes]:
    def record(key: bytes, value: bytes) -> bytes:
        rest = len(key) + len(value) + 3
        return b"%d %s=%s\n" % (rest + len(str(rest + 2)), key, value)

    keys = {
        b"path": b"a/b", b"linkpath": b"c", b"size": b"512", b"mtime": b"-1.5", b"uid": b"7", b"hdrcharset": b"BINARY",
        b"SCHILY.xattr.user.a": b"v", b"LIBARCHIVE.xattr.user%2Eb": b"dg", b"GNU.sparse.map": b"0,5,10,1",
        b"GNU.sparse.size": b"12", b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", b"GNU.sparse.name": b"s",
        b"GNU.sparse.realsize": b"512", b"GNU.sparse.numblocks": b"1",
    }  # fmt: skip
    return [record(k, v) for k, v in keys.items()] + [b"".join(record(k, v) for k, v in keys.items())]


def _frames() -> list[bytes]:
    text = b"hello world " * 20
    zst = zstandard.compress(text)
    skippable = struct.pack("<II", 0x184D2A50, 4) + b"skip"
    return [gzip.compress(text), zst, zst + skippable + zst, bz2.compress(text), lzma.compress(text), text]


def _documents() -> list[bytes]:
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": _DIGEST, "size": 3}
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": _DIGEST, "size": 5}
    manifest = {
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config,
        "layers": [layer, layer], "annotations": {"a": "b"},
    }  # fmt: skip
    index = {"schemaVersion": 2, "manifests": [{**config, "platform": {"os": "linux", "architecture": "arm64"}}]}
    run = {"Env": ["A=b"], "Cmd": ["x"], "User": "u", "Labels": {"l": "v"}, "Volumes": {"/v": {}}, "WorkingDir": "/"}
    image = {
        "os": "linux", "architecture": "amd64", "config": run, "rootfs": {"type": "layers", "diff_ids": [_DIGEST]},
        "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "x", "empty_layer": True}],
    }  # fmt: skip
    docker = [{"Config": "ab.json", "RepoTags": ["a:b"], "Layers": ["x/layer.tar"]}]
    return [json.dumps(found).encode() for found in (manifest, index, image, docker)]


def _dockerfiles() -> list[bytes]:
    return [
        b"# syntax=docker/dockerfile:1\nARG A=1\nFROM a:${A:-b} AS x\nRUN --mount=type=cache,target=/c echo $A\n",
        b'FROM x\nCOPY --from=x --chown=1:2 ["a b", "c"] /d/\nENV A=b C="d e"\nLABEL l=\'v\'\nUSER u\nWORKDIR /w\n',
        b"FROM x\nRUN <<EOF\necho hi\nEOF\nCOPY <<-'E' /f\n\tx\nE\nHEALTHCHECK --interval=1s CMD x\nONBUILD RUN y\n",
        b'# escape=`\nFROM x\nRUN a `\n  b\nEXPOSE 80/tcp 1-3\nVOLUME /v\nSTOPSIGNAL 9\nSHELL ["sh"]\nENTRYPOINT x\n',
    ]


def _nodes() -> dict[bytes, Node]:
    d, f, s = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777
    return {
        b"": Node(d), b"/a": Node(d), b"/a/b": Node(d), b"/a/b/f": Node(f, b"content"), b"/a/f": Node(f, b"x"),
        b"/a/g": Node(f, same_as=b"/a/f"), b"/l": Node(s, link=b"a/f"), b"/dl": Node(s, link=b"/a"),
        b"/up": Node(s, link=b"../../a"), b"/loop": Node(s, link=b"loop"), b"/src": Node(f, source=b"/a/f"),
        b"/x": Node(f, xattrs={b"user.k": b"v"}), b"/dev": Node(stat.S_IFCHR | 0o600, rdev=(1, 3)),
        b"/p": Node(stat.S_IFIFO | 0o600),
    }  # fmt: skip


def _older() -> dict[bytes, Node]:
    """What a base has in the place of the same names, and besides."""
    d, f = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o644
    same = {path: node for path, node in _nodes().items() if path not in (b"/a/f", b"/a/g", b"/x", b"/l")}
    return {
        **same,
        b"/a/f": Node(f, b"older"),
        b"/l": Node(d),
        b"/l/gone": Node(f),
        b"/old": Node(d),
        b"/old/x": Node(f),
    }


def deltas() -> list[bytes]:
    """Length (u16) and bytes of a base, and a delta on it."""
    base, delta = write_delta(_older(), _nodes())
    return [struct.pack("<H", len(base)) + base + delta.data]


def damaged_deltas() -> list[bytes]:
    """As `deltas`: marks lead beyond the changed entries, but for the root; and parents that do not exist."""
    base, delta = write_delta(_older(), _nodes())
    without, elsewhere = bytearray(delta.data), bytearray(delta.data)
    (entries,) = struct.unpack_from("<Q", delta.data, 40)
    (changed,) = struct.unpack_from("<I", delta.data, 68)
    (marks,) = struct.unpack_from("<Q", delta.data, 112)
    for at in range(marks + 8, marks + 12 * (1 + len(_older()) // 32), 12):
        struct.pack_into("<I", without, at, changed - 1)
    for number in range(changed):
        struct.pack_into("<I", elsewhere, entries + 96 * number, 1 << 30)
    return [struct.pack("<H", len(base)) + base + bytes(data) for data in (without, elsewhere)]


def views() -> list[bytes]:
    """Native views."""
    return [write_view(_nodes()).data, write_view({b"": Node(stat.S_IFDIR | 0o755)}).data]


def _bundles() -> list[bytes]:
    files = json.dumps({"index.json": [4096, 10]}).encode().ljust(64)
    view = views()[0]
    contents = struct.pack("<Q", 0) * (len(_nodes()) + 2) + struct.pack("<IIQQ", 5, 1, 0, 3)
    tables, body, at = {}, b"", ALIGNMENT
    for name, data in (("files", files), ("view", view), ("contents", contents), ("segments", bytes(32))):
        body = body.ljust(at - ALIGNMENT, b"\0") + data
        tables[name] = Table(at, len(data), bytes(32))
        at += len(data) + -len(data) % ALIGNMENT
    header = Header(ALIGNMENT + len(body), 2, tables, Digest.of(b""))
    return [header.pack()[: HEADER_BYTES - 32] + body]


def _toc() -> list[bytes]:
    entries = [
        {"name": "d/", "type": "dir", "mode": 493, "modtime": "2024-01-01T00:00:00Z"},
        {"name": "d/f", "type": "reg", "size": 5, "offset": 100, "digest": _DIGEST, "chunkDigest": _DIGEST},
        {"name": "d/f", "type": "chunk", "offset": 200, "chunkOffset": 3, "chunkSize": 2, "chunkDigest": _DIGEST},
        {"name": "l", "type": "symlink", "linkName": "d", "xattrs": {"user.a": "dg=="}},
        {"name": "c", "type": "char", "devMajor": 1, "devMinor": 3},
    ]
    return [json.dumps({"version": 1, "entries": entries}).encode()]


def _layers() -> list[bytes]:
    """Two layers behind each other, the second with what changes the first."""
    over = io.BytesIO()
    with tarfile.open(fileobj=over, mode="w") as tar:
        for name, kind, link in (
            ("d/.wh.f", b"0", ""), ("d/l", b"5", ""), ("c", b"5", ""), ("c/.wh..wh..opq", b"0", ""), ("p", b"1", "d/h"),
            ("d/h", b"0", ""), (".wh.low", b"0", ""), ("e/.wh.x", b"0", ""),
        ):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            tar.addfile(info)
    found = []
    for lower in _tar()[:1]:
        base = lower[: len(lower) - len(lower) % 512]
        upper = over.getvalue()[: len(base)].ljust(len(base), b"\0")
        found += [base + upper, upper + base]
    return found


def _footers() -> list[bytes]:
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as tar:
        toc = _toc()[0]
        info = tarfile.TarInfo("stargz.index.json")
        info.size = len(toc)
        tar.addfile(info, io.BytesIO(toc))
    blob = b"x" * 20 + gzip.compress(inner.getvalue())
    footer = (
        b"\x1f\x8b\x08\4"
        + bytes(4)
        + b"\0\xff\x1a\0SG\x16\0"
        + b"%016x" % 20
        + b"STARGZ"
        + b"\1\0\0\xff\xff"
        + bytes(8)
    )
    return [blob + footer, zstandard.compress(_toc()[0])]


def seeds(target: str) -> list[bytes]:
    """The inputs to start a target from."""
    if target == "every":
        return [bytes((number,)) + data for number, name in enumerate(TARGETS) for data in seeds(name)]
    makers: dict[str, Callable[[], list[bytes]]] = {
        "tar": _tar, "pax": _pax, "frames": _frames, "documents": _documents, "dockerfile": _dockerfiles,
        "native_view": views, "delta": deltas, "bundle": _bundles, "toc": _toc,
        "reference": lambda: [b"debian", b"r.example:5000/a/b:1@" + _DIGEST.encode(), b"localhost/x"],
        "dockerignore": lambda: [b"# c\n*.o\n!a/*.o\n**/x?[a-z]\n/y/\0a/b.o\0x1", b"!**\n\\!x\n[^a]"],
        "layer_entry": lambda: [
            Entry(EntryType.FILE, 3, 3, size=9, xattrs=((b"user.a", b"v"),), sparse=((1, 2),)).pack(),
            Entry(EntryType.SYMLINK, 4, 4, link=b"x/y").pack(),
        ],
        "record": lambda: [b"u=1;g=2;m=100644;d=1:3;i=99;x757365722e61=76;r=/a;b", b"r=/x", b"l=7", b"-"],
        "layers": _layers, "footers": _footers,
        "headers": lambda: [
            b'Bearer realm="https://a/t",scope="a:b:pull", Basic realm=x', b"bytes 0-9/10", b"/v2/x?y=z", b"//h/x",
            b"https://h:1/x", b"http://h/", b"file:///etc/passwd", b"120", b"Fri, 31 Dec 1999 23:59:59 GMT",
        ],
        "bloom": lambda: [b"RLBLOOM1" + struct.pack("<II", 4, 23) + bytes(48), b"RLBLOOM1" + struct.pack("<II", 1, 99)],
        "accounts": lambda: [
            b"u:g\nu:x:1:2:n:/h:/s\ng:x:3:u,v:::\n", b"7:8\n", b"-1\n", b"0:0:0\n", "²\n²:x:²:²:::".encode(),
        ],
    }  # fmt: skip
    return makers[target]() + [path.read_bytes() for path in sorted((CORPUS / target).glob("*"))]


def _elf() -> bytes:
    """A small library: an interpreter, two segments, what it needs, a run path."""
    strings = b"\0libx.so\0$ORIGIN/../lib:/usr/lib\0"
    interp = b"/lib64/ld-linux-x86-64.so.2\0"
    at = 64 + 5 * 56
    dynamic = b"".join(
        struct.pack("<QQ", tag, value)
        for tag, value in ((1, 1), (29, 9), (5, 0x1000 + at), (10, len(strings)), (6, 0x2000), (0, 0))
    )
    dynamic_at = at + len(strings) + len(interp) + -(len(strings) + len(interp)) % 8
    total = dynamic_at + len(dynamic)
    segments = [
        (3, 4, at + len(strings), 0, len(interp), len(interp), 1),
        (1, 5, 0, 0x1000, total, total, 4096),
        (1, 6, 0, 0x3000, total, total + 5000, 4096),
        (2, 6, dynamic_at, 0x3000 + dynamic_at, len(dynamic), len(dynamic), 8),
        (0x6474E551, 6, 0, 0, 0, 0, 16),
    ]
    header = b"\x7fELF\2\1\1".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 3, 62, 1, 0x1000, 64, 0, 0, 64, 56, 5, 64, 0, 0
    )
    table = b"".join(
        struct.pack("<IIQQQQQQ", kind, flags, offset, address, address, size, memory, align)
        for kind, flags, offset, address, size, memory, align in segments
    )
    return (header + table + strings + interp).ljust(dynamic_at, b"\0") + dynamic


def _program_seeds() -> list[bytes]:
    sites = b"\x90\xb8\1\0\0\0\x0f\5\xc3" + b"\x90\x48\x8b\x44\x24\x08\x0f\5\xc3" + bytes(16)
    fixed = bytearray(_elf())
    fixed[16] = 2
    scripts = [b"#!/bin/sh\n", b"#! /usr/bin/env  python3 -x \nrest", b"#!" + b"x" * 300]
    return [b"\3" + _elf(), b"\3" + bytes(fixed), b"\1" + sites, b"\2" + b"123z"] + [b"\0" + text for text in scripts]


def _library_seeds() -> list[bytes]:
    relocations = b"".join(
        struct.pack("<QQQ", n * 3, (n % 4) << 32 | kind, 0) for n, kind in enumerate((7, 6, 1, 7, 8))
    )
    return [b"\1" + _elf(), b"\0" + relocations, b"\0" + relocations * 4]


def _merge_seeds() -> list[bytes]:
    scripts = [bytes(n * (k + 1) % 251 for k in range(256)) for n in (1, 5, 7, 11, 13)]
    entries = [(b"\0\0\0\0", Entry(EntryType.DIRECTORY, 1, 1)), (b"\0\0\0\1a", Entry(EntryType.FILE, 2, 2, size=3))]
    packed = b"".join(struct.pack("<II", len(key), len(entry.pack())) + key + entry.pack() for key, entry in entries)
    whole = struct.pack(">H", len(packed)) + packed
    base, _ = write_delta(_older(), _nodes())
    return [
        *(b"\0\1a" + views()[0], b"\1" + whole + whole, b"\4\x10" + scripts[1][:64] + base),
        *(kind + script for kind in (b"\2", b"\5") for script in scripts),
    ]


def native_seeds(harness: str) -> list[bytes]:
    """Inputs to start a harness of core/ from."""
    made = {"core": _core_seeds, "program": _program_seeds, "library": _library_seeds, "merge": _merge_seeds}[harness]()
    return made + [path.read_bytes() for path in sorted((CORPUS / harness).glob("*"))]


def _core_seeds() -> list[bytes]:
    """Flags, number of calls, calls (op and two paths by number), a view."""
    found = []
    for flags in (0, 2, 4, 16, 22, 1, 3, 34):
        for first in range(0, 30, 5):
            script = b"".join(
                bytes((first + op % 5, path, (path + op) % 26, 1)) for op in range(5) for path in range(26)
            )
            found += [bytes((flags, 24)) + script[at : at + 96] + view for at in (0, 192, 384) for view in views()]
    plant = (
        b"\x1c"
        + bytes((128 + 11,))
        + b".wh..wh.m.n"
        + b"\0"
        + bytes((128 + 6,))
        + b"r=/a;b"
        + bytes((5, 12, 0, 12, 3, 12))
    )
    for flags in (64 + 2, 64 + 128 + 2, 128 + 2, 128 + 2 + 32):
        for number in range(4):
            removals = bytes(
                byte for path in range(2, 26) for byte in ((8, path, number & 1), (30 + number // 2,))[path % 2]
            )
            view = deltas()[0] if flags & 64 else views()[0]
            found.append(bytes((flags, 24, 0 if number else 0xFF)) + removals[:95].ljust(95, b"\0") + view)
    reads = b"".join(bytes((op, path, 1)) for path in range(1, 12) for op in (23, 25, 26, 3, 0))
    found += [
        bytes((66, 24)) + reads[at : at + 96].ljust(96, b"\0") + view for at in (0, 72) for view in damaged_deltas()
    ]
    return [*found, bytes((0, 20)) + plant.ljust(80, b"\0") + views()[0]]

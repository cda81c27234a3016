"""What the cases build from: a base image with accounts and a config, and a context with one of each kind of file."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import shutil
import tarfile
from pathlib import Path

import zstandard

from tests.support.archives.make import docker_archive, make_config

APPLETS = (
    "sh ash ls cat chown chmod mkdir rm rmdir mv cp ln touch echo printf test [ true false id env stat pwd find grep "
    "sed head tail wc mknod mkfifo readlink sort tr basename dirname sleep hostname whoami tar dd cut expr"
).split()
PASSWD = "root:x:0:0:root:/root:/bin/sh\nuser:x:1234:1235:a user:/home/user:/bin/sh\nnogroup:x:55:66::/:/bin/sh\n"
GROUP = "root:x:0:\nuser:x:1235:\nextra:x:77:user\n"
MTIME_S = 1_600_000_000


def base_images() -> bytes:
    """A docker-archive with `base` and, with triggers in its config, `onbuild`."""
    tree = _base_tree()
    plain = {
        "Env": ["PATH=/usr/local/bin:/bin", "FROM_BASE=base value"],
        "Cmd": ["/bin/sh"],
        "Labels": {"base": "yes", "over": "base"},
        "WorkingDir": "/srv",
        "ExposedPorts": {"1/tcp": {}},
        "Volumes": {"/vol": {}},
    }
    triggers = {**plain, "OnBuild": ["ENV TRIGGERED=1", "COPY f /triggered", "RUN echo run > /triggered.run"]}
    archives = [([tree], [f"{name}:latest"], make_config([tree], config=config)) for name, config in
                (("base", plain), ("onbuild", triggers))]  # fmt: skip
    return _with_configs(archives)


def _with_configs(images: list[tuple[list[bytes], list[str], bytes]]) -> bytes:
    """`docker_archive` with configs of our own."""
    archive = docker_archive([(tars, names) for tars, names, _ in images])
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(archive)) as made, tarfile.open(fileobj=out, mode="w") as tar:
        manifest = json.load(made.extractfile("manifest.json"))  # type: ignore[arg-type]
        for number, (item, (_, _, config)) in enumerate(zip(manifest, images, strict=True)):
            item["Config"] = f"config{number}.json"
            _add(tar, item["Config"], config)
        _add(tar, "manifest.json", json.dumps(manifest).encode())
        for name in sorted({layer for item in manifest for layer in item["Layers"]}):
            content = made.extractfile(name)
            assert content is not None
            _add(tar, name, content.read())
    return out.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes = b"", **fields: object) -> None:
    info = tarfile.TarInfo(name)
    info.mtime = MTIME_S
    info.size = len(data)
    info.mode = 0o644
    for key, value in fields.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(data) if data else None)


def _base_tree() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("root", 0o700), ("srv", 0o755),
                           ("old", 0o750), ("old/sub", 0o711), ("home", 0o755), ("vol", 0o755), ("dev", 0o755),
                           ("proc", 0o755), ("sys", 0o755), ("run", 0o755)):  # fmt: skip
            _add(tar, name, type=tarfile.DIRTYPE, mode=mode)
        _add(tar, "home/user", type=tarfile.DIRTYPE, mode=0o700, uid=1234, gid=1235)
        busybox = Path(shutil.which("busybox") or "/bin/busybox").read_bytes()
        _add(tar, "bin/busybox", busybox, mode=0o755)
        for applet in APPLETS:
            _add(tar, f"bin/{applet}", type=tarfile.SYMTYPE, linkname="busybox")
        for name in ("hosts", "hostname", "resolv.conf"):  # as in any image: builders make them to mount on
            _add(tar, f"etc/{name}")
        _add(tar, "etc/passwd", PASSWD.encode())
        _add(tar, "etc/group", GROUP.encode())
        _add(tar, "old/kept", b"kept\n", uid=3, gid=4)
        _add(tar, "old/replaced", b"before\n", mode=0o600, uid=3, gid=4)
        _add(tar, "old/hard", type=tarfile.LNKTYPE, linkname="old/kept", uid=3, gid=4)
        _add(tar, "old/link", type=tarfile.SYMTYPE, linkname="sub")
        _add(tar, "old/away", type=tarfile.SYMTYPE, linkname="/tmp")
        _add(tar, "vol/data", b"data\n")
    return out.getvalue()


def fill(place: Path) -> None:
    """The context. Made anew for each builder, as one may not trust the other to leave it alone."""
    for name, text, mode in (
        ("f", "file\n", 0o644), ("exe", "#!/bin/sh\necho run $*\n", 0o755), ("secret", "s\n", 0o600),
        ("setuid", "x", 0o4755), ("d/inner", "inner\n", 0o640), ("d/sub/deep", "deep\n", 0o644),
        ("d/.hidden", "h\n", 0o644), ("d/hard1", "hard\n", 0o644), ("with space", "sp\n", 0o644),
        ("[odd]", "odd\n", 0o644), ("ünï", "u\n", 0o644), ("a1.txt", "1\n", 0o644), ("a2.txt", "2\n", 0o644),
        ("b1.log", "b\n", 0o644), ("over/old/replaced", "after\n", 0o644), ("over/old/sub/new", "new\n", 0o644),
        ("plain.tar.gz", "no archive\n", 0o644), ("sub/Dockerfile", "FROM scratch\n", 0o644),
        ("tree/x/y/z.c", "z\n", 0o644), ("tree/x/w.h", "w\n", 0o644), ("tree/top.c", "t\n", 0o644),
        ("node_modules/m/i.js", "i\n", 0o644), ("docs/a.md", "a\n", 0o644), ("docs/README.md", "r\n", 0o644),
    ):  # fmt: skip
        file = place / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
    os.link(place / "d/hard1", place / "d/hard2")
    for name, target in (("d/link", "inner"), ("d/dangling", "nowhere"), ("d/absolute", "/etc/passwd"),
                         ("filelink", "f"), ("dirlink", "d"), ("d/up", "../f")):  # fmt: skip
        (place / name).symlink_to(target)
    (place / "empty").mkdir(mode=0o700)
    (place / "file.gz").write_bytes(gzip.compress(b"gzipped, not a tar\n", mtime=0))
    archive = _archive()
    for suffix, data in (
        ("tar", archive), ("tar.gz", gzip.compress(archive, mtime=0)), ("tar.bz2", bz2.compress(archive)),
        ("tar.xz", lzma.compress(archive)), ("tar.zst", zstandard.compress(archive)),
        ("misnamed.txt", gzip.compress(archive, mtime=0)),
    ):  # fmt: skip
        (place / f"archive.{suffix}").write_bytes(data)
    for directory, names, files in os.walk(place):
        for name in (*names, *files):
            os.utime(os.path.join(directory, name), (MTIME_S, MTIME_S), follow_symlinks=False)


def _archive() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, "in", type=tarfile.DIRTYPE, mode=0o750, uid=7, gid=8)
        _add(tar, "in/file", b"from archive\n", uid=7, gid=8, mode=0o604)
        _add(tar, "in/hard", type=tarfile.LNKTYPE, linkname="in/file", uid=7, gid=8, mode=0o604)
        _add(tar, "in/link", type=tarfile.SYMTYPE, linkname="file")
        _add(tar, "implied/dir/file", b"i\n")
        _add(tar, "kept", b"a file of the archive\n", mode=0o400)
    return out.getvalue()

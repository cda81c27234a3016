"""Archives to test with, and what becomes of them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from rootlay.store.codec.bytestream import ByteStream
from rootlay.store.layer.tree import LayerTree
from rootlay.store.model.entry import Entry
from rootlay.store.tar.reader import TarReader

IndexDocument = tuple[str, str, object]


def make_tar(members: Sequence[IndexDocument], format: int = tarfile.PAX_FORMAT, **fields: object) -> bytes:  # noqa: A002
    """A tar by CPython's tarfile. A member is (name, kind, payload): kind `f` content, `d`, `l` and `h` target, `c`
    and `b` (major, minor), `p`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format, encoding="utf-8", errors="surrogateescape") as tar:
        for name, kind, payload in members:
            info = tarfile.TarInfo(name)
            for key, value in fields.items():
                setattr(info, key, value)
            content = None
            if kind == "f":
                data = payload if isinstance(payload, bytes) else str(payload).encode()
                info.size = len(data)
                content = io.BytesIO(data)
            else:
                info.type = {"d": b"5", "l": b"2", "h": b"1", "c": b"3", "b": b"4", "p": b"6"}[kind]
                if kind in "lh":
                    info.linkname = str(payload)
                if kind in "cb":
                    assert isinstance(payload, tuple)
                    info.devmajor, info.devminor = payload
            tar.addfile(info, content)
    return out.getvalue()


def read_tar(data: bytes, chunk_bytes: int = 1000) -> list[tuple[bytes, Entry]]:
    """The entries of a tar that arrives in small pieces."""
    pieces = (data[i : i + chunk_bytes] for i in range(0, len(data), chunk_bytes))
    return list(TarReader(ByteStream(pieces), "test.tar"))


def read_tree(data: bytes) -> dict[bytes, Entry]:
    """The layer that a tar makes: path -> entry."""
    tree = LayerTree()
    for name, entry in read_tar(data):
        tree.add(name, entry)
    return tree_paths(tree)


def tree_paths(tree: LayerTree) -> dict[bytes, Entry]:
    """Path -> entry of a finished tree; every entry's parent must be there."""
    paths: dict[int, bytes] = {}
    found: dict[bytes, Entry] = {}
    tree.finish()
    rows = [(int.from_bytes(key[:4], "big"), key[4:], Entry.unpack(value)) for key, value in tree.iter_sorted()]
    for parent, name, entry in sorted(rows, key=lambda row: row[2].id):
        path = b"" if parent == 0 else (paths[parent] + b"/" + name).lstrip(b"/")
        paths[entry.id] = path
        found[path] = entry
    return found


def snapshot(root: Path) -> dict[str, bytes]:
    """Every file below `root` with its content; lock files and the log of events aside."""
    found = (path for path in root.rglob("*") if path.is_file() and path.parent.name != "locks")
    files = (path for path in found if not path.name.startswith("events.log"))
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def child_environment() -> dict[str, str]:
    """The environment of a Python child that imports what we import."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def sha256(data: bytes) -> str:
    """A digest as text."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def make_config(tars: list[bytes], architecture: str = "", **fields: object) -> bytes:
    """An image config for layers of these (uncompressed) tars."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    config = {
        "architecture": architecture or machine,
        "os": "linux",
        "config": {"Env": ["A=b"], "Cmd": ["sh"], "Unknown": 1},
        "rootfs": {"type": "layers", "diff_ids": [sha256(tar) for tar in tars]},
        **fields,
    }
    return json.dumps(config).encode()


class LayoutBuilder:
    """An OCI layout in memory: path -> content."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
        self.manifests: list[dict[str, object]] = []

    def blob(self, data: bytes, media_type: str) -> dict[str, object]:
        """Add a blob; its descriptor."""
        digest = sha256(data)
        self.files["blobs/" + digest.replace(":", "/")] = data
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def manifest(
        self, tars: list[bytes], blobs: list[bytes] | None = None, architecture: str = ""
    ) -> dict[str, object]:
        """Add an image of these layers (`blobs`: their compressed forms); its descriptor."""
        config = self.blob(make_config(tars, architecture), "application/vnd.oci.image.config.v1+json")
        layers = [self.blob(blob, "application/vnd.oci.image.layer.v1.tar+gzip") for blob in blobs or tars]
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
        return self.blob(json.dumps(document).encode(), MANIFEST)

    def index(self, manifests: list[dict[str, object]]) -> dict[str, object]:
        """Add a nested index; its descriptor."""
        return self.blob(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode(), INDEX)

    def name(self, descriptor: dict[str, object], name: str | None) -> None:
        """Put a descriptor into index.json."""
        annotations = {} if name is None else {"annotations": {"org.opencontainers.image.ref.name": name}}
        self.manifests.append({**descriptor, **annotations})

    def all_files(self) -> dict[str, bytes]:
        """Everything, index.json included."""
        index = {"schemaVersion": 2, "manifests": self.manifests}
        return {**self.files, "index.json": json.dumps(index).encode()}

    def tar(self) -> bytes:
        """The layout as an archive."""
        return make_tar([(path, "f", data) for path, data in self.all_files().items()])

    def write(self, root: Path) -> Path:
        """The layout as a directory."""
        for path, data in self.all_files().items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)
        return root


MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def docker_archive(images: list[tuple[list[bytes], list[str]]], *, linked: bool = False) -> bytes:
    """A docker-archive of (layer tars, names); `linked`: repeated layers are symbolic links, as docker 1.10 made it."""
    members: dict[str, IndexDocument] = {}
    manifest = []
    for number, (tars, names) in enumerate(images):
        config = make_config(tars)
        config_name = sha256(config)[7:] + ".json"
        members[config_name] = (config_name, "f", config)
        layers = []
        for position, tar in enumerate(tars):
            path = f"image{number}-{position}/layer.tar" if linked else f"{sha256(tar)[7:]}.tar"
            first = next((p for p, (_, kind, data) in members.items() if kind == "f" and data == tar), None)
            members[path] = (path, "l", f"../{first}") if linked and first else (path, "f", tar)
            layers.append(path)
        manifest.append({"Config": config_name, "RepoTags": names, "Layers": layers})
    return make_tar([*members.values(), ("manifest.json", "f", json.dumps(manifest).encode())])

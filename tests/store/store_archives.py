"""Archives to test with, and what becomes of them."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from rootlay.store.bytestream import ByteStream
from rootlay.store.entry import Entry
from rootlay.store.layertree import LayerTree
from rootlay.store.tarreader import TarReader

Member = tuple[str, str, object]


def make_tar(members: list[Member], format: int = tarfile.PAX_FORMAT, **fields: object) -> bytes:  # noqa: A002
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
    """Every file below `root` with its content, lock files aside."""
    files = (path for path in root.rglob("*") if path.is_file() and path.parent.name != "locks")
    return {str(path.relative_to(root)): path.read_bytes() for path in files}

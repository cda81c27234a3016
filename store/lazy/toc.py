"""Tables of contents: the JSON documents of eStargz and zstd:chunked, which differ only in details.

Sources: containerd/stargz-snapshotter, docs/estargz.md; containers/storage, pkg/chunked/internal/minimal.

Rules:
1. Entries are read one after the other while the text arrives (`jsonstream`): a table of 300,000 entries is never whole
   in memory, neither as text nor as objects.
2. The entries are checked on their own; the layer tree checks names and links.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from rootlay.store.lazy.jsonstream import iter_entries
from rootlay.store.model.digest import Digest
from rootlay.store.model.entry import Entry, EntryType, Xattrs
from rootlay.store.model.errors import BadManifest
from rootlay.store.model.value import field, value

# A table is about 250 bytes an entry.
TOC_BYTES_MAX = 256 << 20
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)\Z")
_TYPES = {
    "dir": EntryType.DIRECTORY,
    "reg": EntryType.FILE,
    "symlink": EntryType.SYMLINK,
    "hardlink": EntryType.HARDLINK,
    "char": EntryType.CHAR_DEVICE,
    "block": EntryType.BLOCK_DEVICE,
    "fifo": EntryType.FIFO,
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@value
class Chunk:
    """A piece of a file. Offsets and lengths in bytes.

    `start` in the blob is the start of decompression, `inner` the decompressed bytes that belong to others; `end` is 0
    if the table does not state it. `zeros`: only zeros, and nothing in the blob.
    """

    start: int
    end: int
    inner: int
    file_offset: int
    length: int
    digest: Digest | None
    zeros: bool = False


@value
class TocFile:
    """One entry with its chunks; `entry.offset` is not set."""

    name: bytes
    entry: Entry
    digest: Digest | None = None
    chunks: list[Chunk] = field(default_factory=list)


def iter_toc(chunks: Iterable[bytes], what: str) -> Iterator[TocFile]:
    """Yield the files of a table, in the order of the tar, from the bytes of its text. Raises BadManifest."""
    current: TocFile | None = None
    for item in _iter_entries(chunks, what):
        if item.get("type") == "chunk":
            if current is None or not current.chunks:
                raise BadManifest(what, "a chunk without content")
            current.chunks.append(_chunk(item, current, what))
            continue
        if current is not None:
            yield _settled(current, what)
        current = _file(item, what)
    if current is not None:
        yield _settled(current, what)


def _iter_entries(chunks: Iterable[bytes], what: str) -> Iterator[dict[str, Any]]:
    try:
        for item in iter_entries(chunks):
            if not isinstance(item, dict):
                raise BadManifest(what, "an entry is not an object")
            yield item
    except (ValueError, RecursionError) as error:
        raise BadManifest(what, "its table of contents is not JSON") from error


def _number(item: dict[str, Any], name: str, what: str) -> int:
    found = item.get(name) or 0
    if type(found) is not int or not 0 <= found < 1 << 63:
        raise BadManifest(what, f"its table of contents has a bad {name}")
    return found


def _text(item: dict[str, Any], name: str, what: str) -> str:
    found = item.get(name) or ""
    if not isinstance(found, str):
        raise BadManifest(what, f"its table of contents has a bad {name}")
    return found


def _digest(item: dict[str, Any], name: str, what: str) -> Digest | None:
    text = _text(item, name, what)
    found = Digest.parse(text) if text else None
    if found is not None and found.algorithm != "sha256":
        raise BadManifest(what, f"digests by {found.algorithm} are not supported")
    return found


def _file(item: dict[str, Any], what: str) -> TocFile:
    kind = _TYPES.get(_text(item, "type", what))
    if kind is None:
        raise BadManifest(what, f"an entry has the unsupported type {str(item.get('type'))[:20]!r}")
    size = _number(item, "size", what) if kind is EntryType.FILE else 0
    if size >= 1 << 62:
        raise BadManifest(what, "its table of contents has a bad size")
    entry = Entry(
        kind,
        mode=_number(item, "mode", what) & 0o7777,
        uid=_number(item, "uid", what) & 0xFFFFFFFF,
        gid=_number(item, "gid", what) & 0xFFFFFFFF,
        size=size,
        mtime_ns=_time_ns(_text(item, "modtime", what), what),
        major=_number(item, "devMajor", what) & 0xFFFFFFFF,
        minor=_number(item, "devMinor", what) & 0xFFFFFFFF,
        link=_text(item, "linkName", what).encode("utf-8", "surrogateescape"),
        xattrs=_xattrs(item, what),
    )
    found = TocFile(
        _text(item, "name", what).encode("utf-8", "surrogateescape"), entry, _digest(item, "digest", what)
    )  # fmt: skip
    if size:
        found.chunks.append(_chunk(item, found, what))
    return found


def _chunk(item: dict[str, Any], file: TocFile, what: str) -> Chunk:
    """Parse a chunk. `chunkSize` 0: all the rest of the file."""
    at = _number(item, "chunkOffset", what)
    return Chunk(
        _number(item, "offset", what),
        _number(item, "endOffset", what),
        _number(item, "innerOffset", what),
        at,
        _number(item, "chunkSize", what) or file.entry.size - at,
        _digest(item, "chunkDigest", what),
        _text(item, "chunkType", what) == "zeros",
    )


def _settled(file: TocFile, what: str) -> TocFile:
    """Return the file if its chunks cover it, in order; a single one may take its digest from the file."""
    at = 0
    for number, chunk in enumerate(file.chunks):
        if chunk.file_offset != at or chunk.length <= 0:
            raise BadManifest(what, "its table of contents has chunks that do not cover their file")
        at += chunk.length
        if chunk.digest is None and not chunk.zeros:
            if len(file.chunks) > 1 or file.digest is None:
                raise BadManifest(what, "its table of contents has a chunk without a digest")
            whole = Chunk(chunk.start, chunk.end, chunk.inner, 0, chunk.length, file.digest)
            file.chunks[number] = whole
    if at != file.entry.size:
        raise BadManifest(what, "its table of contents has chunks that do not cover their file")
    return file


def _time_ns(text: str, what: str) -> int:
    """Convert RFC 3339 to ns since the epoch; an empty text is the epoch."""
    if not text:
        return 0
    found = _TIME.match(text)
    try:
        if found is None:
            raise ValueError(text)
        zone = "+00:00" if found[3] == "Z" else found[3]
        since = datetime.fromisoformat(found[1] + zone) - _EPOCH
    except ValueError as error:
        raise BadManifest(what, "its table of contents has a bad modtime") from error
    return (since.days * 86400 + since.seconds) * 1_000_000_000 + int((found[2] or "0").ljust(9, "0"))


def _xattrs(item: dict[str, Any], what: str) -> Xattrs:
    found = item.get("xattrs") or {}
    try:
        return tuple((name.encode(), base64.b64decode(value, validate=True)) for name, value in sorted(found.items()))
    except (AttributeError, TypeError, ValueError, binascii.Error) as error:
        raise BadManifest(what, "its table of contents has bad xattrs") from error

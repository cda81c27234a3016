"""One layer of a lazy pull: its table of contents is fetched and becomes an index; its content stays in the registry.

Rules:
1. The table is verified by the digest in the manifest's annotation, whatever its own footer states.
2. It is spooled to the store's disk as it arrives, and parsed from there piece by piece: memory is independent of its
   size.
3. A layer that cannot be pulled lazily gives the reason (`NotLazy`), and is then fetched whole.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import zstandard

from rootlay.store.chunks.blockcache import DATA_NAME, HAVE_NAME, BlockCache
from rootlay.store.chunks.origin import ORIGIN_NAME, Origin
from rootlay.store.codec.bytestream import ByteStream, iter_file
from rootlay.store.codec.gzipstream import GZIP_WINDOW_BITS
from rootlay.store.codec.zstdframes import WINDOW_BYTES_MAX
from rootlay.store.disk.durable import create_file
from rootlay.store.layout.identity import TocPlace, find_toc, lazy_id
from rootlay.store.layout.layerfiles import INDEX_NAME
from rootlay.store.layout.layout import Layout
from rootlay.store.lazy.toc import TOC_BYTES_MAX, TocFile, iter_toc
from rootlay.store.lazy.tocindex import toc_entry, write_toc_index
from rootlay.store.model.digest import Digest
from rootlay.store.model.entry import Entry, EntryType
from rootlay.store.model.errors import BadManifest, DigestMismatch, NotAnArchive, TruncatedArchive
from rootlay.store.model.manifest import Descriptor
from rootlay.store.registry.blobrange import NoRanges
from rootlay.store.registry.lazyfetch import make_origin
from rootlay.store.registry.repository import Repository
from rootlay.store.tar.reader import TarReader

ESTARGZ_TOC_NAME = b"stargz.index.json"
# The size of one request, and of one step of decompression.
_RANGE_BYTES = 8 << 20
_TEXT_BYTES = 1 << 16
_FOOTER_BYTES = 51
_FOOTER = re.compile(rb"\x1f\x8b\x08.{7}\x1a\x00SG\x16\x00([0-9a-f]{16})STARGZ", re.DOTALL)


class NotLazy(Exception):
    """The reason why a layer has to be fetched whole."""


def pull_lazily(layout: Layout, repository: Repository, layer: Descriptor, diff_id: Digest, what: str) -> int:
    """Store the lazy form of a layer; return the number of fetched bytes. Durable, idempotent.

    Preconditions: the caller is inside `importing(layout)`.

    Raises NotLazy; RegistryUnreachable and so on; BadManifest, DigestMismatch, UnsafePath, TooLarge for a bad table.
    """
    place, own_id = find_toc(layer), lazy_id(layer)
    if place is None or own_id is None:
        raise NotLazy("the manifest gives no digest of a table of contents")
    if place.digest.algorithm != "sha256":
        raise NotLazy(f"its table of contents has only a {place.digest.algorithm} digest")
    name = f"{repository.session.domain}/{repository.path}"
    origin = make_origin(repository, Origin(name, layer, diff_id))
    if origin is None:
        raise NotLazy("the proxy needs a password, which is not stored")
    with layout.lock(str(own_id)):
        if layout.has_layer(own_id):
            return 0
        read = _Reader(repository, layer, what)
        with layout.staging() as staging:
            try:
                table = _fetch(read, place, staging / "toc")
            except NoRanges as error:
                raise NotLazy(error.reason) from error
            write_toc_index(staging / INDEX_NAME, table.files(), own_id, layer, table.content_end, layout.budget)
            BlockCache.create(staging, layer.size)
            (staging / ORIGIN_NAME).write_bytes(origin.to_bytes())
            layout.publish_layer(staging, own_id, (DATA_NAME, HAVE_NAME, ORIGIN_NAME, INDEX_NAME))
        return read.bytes


class _Reader:
    """A reader of ranges of the blob, which counts them."""

    def __init__(self, repository: Repository, layer: Descriptor, what: str) -> None:
        self.what = what
        self.size = layer.size
        self.bytes = 0
        self._repository = repository
        self._layer = layer

    def __call__(self, start: int, end: int) -> bytes:
        if not 0 <= start < end <= self.size:
            raise BadManifest(self.what, "its table of contents is outside the blob")
        self.bytes += end - start
        return self._repository.read_range(self._layer, start, end, self.what)


def _spool(read: _Reader, start: int, end: int, path: Path) -> None:
    """Write the bytes from `start` to `end` of the blob to the new file `path`. Raises BadManifest."""
    if not 0 <= start < end <= read.size or end - start > TOC_BYTES_MAX:
        raise BadManifest(read.what, "its table of contents is outside the blob")
    with open(create_file(path), "wb") as stream:
        for begin in range(start, end, _RANGE_BYTES):
            stream.write(read(begin, min(end, begin + _RANGE_BYTES)))


class _Table(Protocol):
    """A fetched and verified table of contents; `content_end` is where chunks end in the blob at the latest."""

    content_end: int

    def files(self) -> Iterator[TocFile]:
        """Yield all files of the layer. Raises BadManifest."""


def _fetch(read: _Reader, place: TocPlace, spool: Path) -> _Table:
    """Fetch and verify the table. Raises NotLazy, NoRanges, BadManifest, DigestMismatch."""
    return _ChunkedTable(read, place, spool) if place.kind == "zstd:chunked" else _StargzTable(read, place, spool)


class _ChunkedTable:
    """The table of a zstd:chunked blob: a frame with a known digest."""

    def __init__(self, read: _Reader, place: TocPlace, spool: Path) -> None:
        self.content_end = place.offset
        self._what = read.what
        self._spool = spool
        self._toc_bytes = place.toc_bytes
        if place.toc_bytes > TOC_BYTES_MAX:
            raise BadManifest(read.what, f"its table of contents is longer than {TOC_BYTES_MAX} bytes")
        _spool(read, place.offset, place.offset + place.length, spool)
        with open(spool, "rb") as stream:
            actual = _digest(place.digest.algorithm, iter_file(stream))
        if actual != place.digest:
            raise DigestMismatch(f"{read.what}: table of contents", place.digest, actual)

    def files(self) -> Iterator[TocFile]:
        """Yield all files of the layer. Raises BadManifest."""
        return iter_toc(self._text(), self._what)

    def _text(self) -> Iterator[bytes]:
        left = self._toc_bytes
        with open(self._spool, "rb") as stream:
            try:
                reader = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX).stream_reader(stream)
                while chunk := reader.read(_TEXT_BYTES):
                    left -= len(chunk)
                    if left < 0:
                        raise BadManifest(self._what, "its table of contents is longer than its size")
                    yield chunk
            except zstandard.ZstdError as error:
                raise BadManifest(self._what, f"its table of contents is damaged: {error}") from error


class _StargzTable:
    """The table of an eStargz: a tar with one member, in a gzip member at the end of the blob, found by the footer. Its
    digest is that of the JSON text, so it is read twice: verified, then parsed."""

    def __init__(self, read: _Reader, place: TocPlace, spool: Path) -> None:
        footer = _FOOTER.match(read(max(0, read.size - _FOOTER_BYTES), read.size))
        if footer is None:
            raise NotLazy("it does not end as an eStargz layer")
        self.content_end = read.size - _FOOTER_BYTES
        self._what = read.what
        self._spool = spool
        self._position = int(footer[1], 16)
        self._digest = place.digest
        _spool(read, self._position, self.content_end, spool)
        actual = _digest(place.digest.algorithm, self._text())
        if actual != place.digest:
            raise DigestMismatch(f"{read.what}: table of contents", place.digest, actual)

    def files(self) -> Iterator[TocFile]:
        """Yield all files of the layer, including the table itself. Raises BadManifest."""
        yield from iter_toc(self._text(), self._what)
        for name, member in self._members(ByteStream(self._tar())):
            yield toc_entry(name, member, self._position, self._digest)
            return

    def _text(self) -> Iterator[bytes]:
        stream = ByteStream(self._tar())
        for _, member in self._members(stream):
            left = member.size
            while left and (chunk := stream.take(min(left, _TEXT_BYTES))):
                left -= len(chunk)
                yield chunk
            return

    def _members(self, stream: ByteStream) -> Iterator[tuple[bytes, Entry]]:
        """Yield the table's own member; nothing if the first one is something else."""
        try:
            for name, member in TarReader(stream, self._what):
                if name == ESTARGZ_TOC_NAME and member.type is EntryType.FILE:
                    yield name, member
                return
        except (NotAnArchive, TruncatedArchive) as error:
            raise BadManifest(self._what, f"its table of contents is damaged: {error}") from error

    def _tar(self) -> Iterator[bytes]:
        unpack = zlib.decompressobj(GZIP_WINDOW_BITS)
        left = TOC_BYTES_MAX
        with open(self._spool, "rb") as stream:
            try:
                for packed in iter_file(stream):
                    while packed and not unpack.eof:
                        chunk = unpack.decompress(packed, _TEXT_BYTES)
                        packed = unpack.unconsumed_tail
                        left -= len(chunk)
                        if left < 0:
                            raise BadManifest(self._what, f"its table of contents is longer than {TOC_BYTES_MAX} bytes")
                        yield chunk
            except zlib.error as error:
                raise BadManifest(self._what, f"its table of contents is damaged: {error}") from error


def _digest(algorithm: str, chunks: Iterable[bytes]) -> Digest:
    hashed = hashlib.new(algorithm)
    for chunk in chunks:
        hashed.update(chunk)
    return Digest(algorithm, hashed.hexdigest())

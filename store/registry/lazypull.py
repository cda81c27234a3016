"""One layer of a lazy pull: its table of contents is fetched and becomes an index; its content stays where it is.

Rules:
1. The table is verified by the digest in the manifest's annotation, whatever its own footer says.
2. A layer that cannot be pulled lazily says why (`NotLazy`), and is then fetched whole.
"""

from __future__ import annotations

import io
import re
import tarfile
import zlib
from collections.abc import Iterator
from itertools import chain

import zstandard

from rootlay.store.digest import Digest
from rootlay.store.errors import BadManifest, DigestMismatch
from rootlay.store.gzipstream import GZIP_WINDOW_BITS
from rootlay.store.layer import INDEX_NAME
from rootlay.store.layout import Layout
from rootlay.store.lazy.blockcache import DATA_NAME, HAVE_NAME, BlockCache
from rootlay.store.lazy.identity import TocPlace, find_toc, lazy_id
from rootlay.store.lazy.origin import ORIGIN_NAME, Origin
from rootlay.store.lazy.toc import TOC_BYTES_MAX, TocFile, iter_toc
from rootlay.store.lazy.tocindex import toc_entry, write_toc_index
from rootlay.store.manifest import Descriptor
from rootlay.store.registry.blobrange import NoRanges
from rootlay.store.registry.lazyfetch import make_origin
from rootlay.store.registry.repository import Repository
from rootlay.store.zstdframes import WINDOW_BYTES_MAX

ESTARGZ_TOC_NAME = "stargz.index.json"
_FOOTER_BYTES = 51
_FOOTER = re.compile(rb"\x1f\x8b\x08.{7}\x1a\x00SG\x16\x00([0-9a-f]{16})STARGZ", re.DOTALL)


class NotLazy(Exception):
    """Why a layer has to be fetched whole."""


def pull_lazily(layout: Layout, repository: Repository, layer: Descriptor, diff_id: Digest, what: str) -> int:
    """Have the lazy form of a layer in the store; how many bytes that took. Durable, idempotent.

    Preconditions: the caller is inside `layout.importing()`.

    Raises NotLazy; RegistryUnreachable and so on; BadManifest, DigestMismatch, UnsafePath, TooLarge for a bad table.
    """
    place, own_id = find_toc(layer), lazy_id(layer)
    if place is None or own_id is None:
        raise NotLazy("it has no table of contents that the manifest vouches for")
    name = f"{repository.session.domain}/{repository.path}"
    origin = make_origin(repository, Origin(name, layer, diff_id))
    if origin is None:
        raise NotLazy("the proxy's password is not kept")
    with layout.lock(str(own_id)):
        if layout.has_layer(own_id):
            return 0
        read = _Reader(repository, layer, what)
        try:
            files, content_end = _read_estargz(read, place) if place.kind == "estargz" else _read_chunked(read, place)
        except NoRanges as error:
            raise NotLazy(error.reason) from error
        with layout.staging() as staging:
            write_toc_index(staging / INDEX_NAME, files, own_id, layer, content_end, layout.budget)
            BlockCache.create(staging, layer.size)
            (staging / ORIGIN_NAME).write_bytes(origin.to_bytes())
            layout.publish_layer(staging, own_id, (DATA_NAME, HAVE_NAME, ORIGIN_NAME, INDEX_NAME))
        return read.bytes


class _Reader:
    """Reads ranges of the blob, and counts."""

    def __init__(self, repository: Repository, layer: Descriptor, what: str) -> None:
        self.what = what
        self.size = layer.size
        self.bytes = 0
        self._repository = repository
        self._layer = layer

    def __call__(self, start: int, end: int) -> bytes:
        if not 0 <= start < end <= self.size or end - start > TOC_BYTES_MAX:
            raise BadManifest(self.what, "its table of contents is outside the blob")
        self.bytes += end - start
        return self._repository.read_range(self._layer, start, end, self.what)


def _read_chunked(read: _Reader, place: TocPlace) -> tuple[Iterator[TocFile], int]:
    """The files of a zstd:chunked blob, and where its content ends."""
    packed = read(place.offset, place.offset + place.length)
    if not place.digest.fits(packed):
        raise DigestMismatch(f"{read.what}: table of contents", place.digest, Digest.of(packed))
    if place.toc_bytes > TOC_BYTES_MAX:
        raise BadManifest(read.what, f"its table of contents is longer than {TOC_BYTES_MAX} bytes")
    try:  # as a stream: a frame's own claim of its size would be allocated
        with zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX).stream_reader(packed) as stream:
            toc = stream.read(place.toc_bytes)
    except zstandard.ZstdError as error:
        raise BadManifest(read.what, f"its table of contents is damaged: {error}") from error
    return iter_toc(_decoded(toc), read.what), place.offset


def _read_estargz(read: _Reader, place: TocPlace) -> tuple[Iterator[TocFile], int]:
    """The files of an eStargz blob, the table itself among them, and where its content ends."""
    footer = _FOOTER.match(read(max(0, read.size - _FOOTER_BYTES), read.size))
    if footer is None:
        raise NotLazy("its end is not that of an eStargz")
    position, end = int(footer[1], 16), read.size - _FOOTER_BYTES
    tail = zlib.decompressobj(GZIP_WINDOW_BITS)
    try:
        data = tail.decompress(read(position, end), TOC_BYTES_MAX)
    except zlib.error as error:
        raise BadManifest(read.what, f"its table of contents is damaged: {error}") from error
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            member = tar.next()
            stream = None if member is None or member.name != ESTARGZ_TOC_NAME else tar.extractfile(member)
            toc = b"" if stream is None else stream.read()
            attributes = tarfile.TarInfo() if member is None else member
    except tarfile.TarError as error:
        raise BadManifest(read.what, f"its table of contents is damaged: {error}") from error
    if not place.digest.fits(toc):
        raise DigestMismatch(f"{read.what}: table of contents", place.digest, Digest.of(toc))
    own = toc_entry(toc, position, attributes)
    return chain(iter_toc(_decoded(toc), read.what), (own,)), end


def _decoded(toc: bytes) -> str:
    """Names need not be UTF-8."""
    return toc.decode("utf-8", "surrogateescape")

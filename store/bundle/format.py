"""A bundle: one read-only file that is an image, its look-up table and random access to its files (docs/format.md §10).

It runs in place, on any file system that can be read and mapped: nothing is unpacked, and no store is needed. Inside it
is an OCI image layout; the tables next to the blobs only speed up look-ups.

Rules:
1. The header's digest names the bundle (its ID) and covers the digests of all tables. Blobs are verified by their own
   digests when the bundle is loaded into a store, and segment by segment when a file's content is read.
2. Opening reads one page, the header; tables are mapped, and read when they are used.
3. On the path of `rootlay run FILE`: nothing heavy may be imported here.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from struct import Struct

from rootlay.store.disk.regularfile import NotARegularFile, open_regular, open_regular_stream
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import BadManifest, CorruptStore, TruncatedArchive
from rootlay.store.model.value import value

SHEBANG = b"#!/usr/bin/env -S rootlay run --rm\n"
SHEBANG_BYTES = 64
MAGIC = b"RLBUNDL1"
VERSION = 1
HEADER_BYTES = 4096
# Tables start at a multiple of the largest page size of the architectures that Linux runs on.
ALIGNMENT = 1 << 16
SUFFIX = ".bundle"
MAX_LAYERS = 1 << 16  # the highest count that a header may claim; no builder gets near it

_FIXED = Struct("<8sIIQII")
_TABLE = Struct("<QQ32s")
_NAMES = ("files", "view", "contents", "segments")
_DIGEST_AT = HEADER_BYTES - 32
_READ_BYTES = 1 << 18


@value
class Table:
    """The place of a table: offset and length in bytes, SHA-256 of its bytes."""

    offset: int
    length: int
    sha256: bytes


@value
class BundleHeader:
    """The first page. `id` is the SHA-256 of the bytes before it."""

    file_bytes: int
    layers: int
    tables: dict[str, Table]
    id: Digest

    def pack(self) -> bytes:
        """Return the page, with a new digest of its own."""
        page = bytearray(HEADER_BYTES)
        page[: len(SHEBANG)] = SHEBANG
        _FIXED.pack_into(page, SHEBANG_BYTES, MAGIC, VERSION, HEADER_BYTES, self.file_bytes, self.layers, 0)
        at = SHEBANG_BYTES + _FIXED.size
        for name in _NAMES:
            table = self.tables[name]
            _TABLE.pack_into(page, at, table.offset, table.length, table.sha256)
            at += _TABLE.size
        page[_DIGEST_AT:] = Digest.of(bytes(page[:_DIGEST_AT])).raw
        return bytes(page)

    @classmethod
    def parse(cls, page: bytes, what: str) -> BundleHeader:
        """Parse the page. Raises CorruptStore, naming `what`."""
        if len(page) < HEADER_BYTES or page[SHEBANG_BYTES : SHEBANG_BYTES + len(MAGIC)] != MAGIC:
            raise CorruptStore(what, "not a bundle")
        _, version, header_bytes, file_bytes, layers, _ = _FIXED.unpack_from(page, SHEBANG_BYTES)
        if version != VERSION or header_bytes != HEADER_BYTES:
            raise CorruptStore(what, f"a bundle of version {version}; this rootlay reads version {VERSION}")
        digest = Digest.of(page[:_DIGEST_AT]).raw
        if digest != page[_DIGEST_AT:] or layers > MAX_LAYERS:
            raise CorruptStore(what, "its header is damaged")
        tables = {}
        for number, name in enumerate(_NAMES):
            at = SHEBANG_BYTES + _FIXED.size + number * _TABLE.size
            table = Table(*_TABLE.unpack_from(page, at))
            if table.offset < HEADER_BYTES or table.offset % ALIGNMENT or table.offset + table.length > file_bytes:
                raise CorruptStore(what, "a table is outside the file")
            if not table.length and layers:
                raise CorruptStore(what, f"its table of {name} is empty")
            tables[name] = table
        return cls(file_bytes, layers, tables, Digest("sha256", digest.hex()))


class Bundle:
    """An open bundle. Thread safe, usable after a fork; close it when it has no readers left."""

    __slots__ = ("_fd", "_files", "header", "path", "what")

    def __init__(self, path: Path) -> None:
        """Open the bundle at `path`. Raises FileNotFoundError, CorruptStore, TruncatedArchive."""
        self.path = path
        self.what = str(path)  # for messages
        self._files: dict[str, tuple[int, int]] | None = None
        self._fd = open_regular(path, follow=True)
        try:
            self.header = BundleHeader.parse(os.pread(self._fd, HEADER_BYTES, 0), str(path))
            size = os.fstat(self._fd).st_size
            if size < self.header.file_bytes:
                raise TruncatedArchive(str(path), f"{size} bytes instead of {self.header.file_bytes}")
        except BaseException:
            os.close(self._fd)
            raise

    @property
    def id(self) -> Digest:
        """The name of the bundle: the digest of its header."""
        return self.header.id

    @property
    def layer_ids(self) -> tuple[Digest, ...]:
        """Names for the layers' hydrated trees, base first. They belong to this bundle alone: the diff IDs that a
        bundle claims are not verified before it runs, so it must not use the trees of a store's layers."""
        return tuple(Digest.of(f"{self.id} layer {n}".encode("ascii")) for n in range(self.header.layers))

    def map_table(self, name: str) -> mmap.mmap:
        """Map a table read-only; the caller closes it."""
        table = self.header.tables[name]
        if not table.length:  # an image without layers; an empty range cannot be mapped
            return mmap.mmap(-1, 1, access=mmap.ACCESS_READ)
        return mmap.mmap(self._fd, table.length, access=mmap.ACCESS_READ, offset=table.offset)

    def verify_tables(self) -> None:
        """Verify each table's digest. Raises CorruptStore."""
        import hashlib  # OpenSSL: here, not above

        for name, table in self.header.tables.items():
            digest = hashlib.sha256()
            for chunk in self.iter_range(table.offset, table.length):
                digest.update(chunk)
            if digest.digest() != table.sha256:
                raise CorruptStore(str(self.path), f"its table of {name} is damaged: copy it again")

    def iter_range(self, offset: int, length: int) -> Iterator[bytes]:
        """Yield bytes of the file, in pieces. Raises TruncatedArchive."""
        while length:
            chunk = os.pread(self._fd, min(length, _READ_BYTES), offset)
            if not chunk:
                raise TruncatedArchive(str(self.path))
            offset += len(chunk)
            length -= len(chunk)
            yield chunk

    def close(self) -> None:
        """Close the bundle. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    # The OCI image layout inside: rootlay.store.tar.archive.ImageFiles

    def _find(self, path: str) -> tuple[int, int] | None:
        if self._files is None:
            import json

            table = self.header.tables["files"]
            try:
                found = json.loads(b"".join(self.iter_range(table.offset, table.length)))
                self._files = {str(name): (int(place[0]), int(place[1])) for name, place in found.items()}
            except (ValueError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
                raise CorruptStore(self.what, "its table of files is damaged") from error
            if any(o < 0 or n < 0 or o + n > self.header.file_bytes for o, n in self._files.values()):
                raise CorruptStore(self.what, "a file is outside the bundle")
        return self._files.get(path)

    def _get(self, path: str) -> tuple[int, int]:
        found = self._find(path)
        if found is None:
            raise BadManifest(self.what, f"{path} is missing")
        return found

    def has(self, path: str) -> bool:
        """Return whether there is a file of that path."""
        return self._find(path) is not None

    def size(self, path: str) -> int:
        """Return its size in bytes. Raises BadManifest if it is missing."""
        return self._get(path)[1]

    def iter_chunks(self, path: str) -> Iterator[bytes]:
        """Yield its content. Raises BadManifest, TruncatedArchive."""
        yield from self.iter_range(*self._get(path))


def is_bundle(path: str) -> bool:
    """Return whether there is a bundle at `path`. Reads 72 bytes."""
    try:
        with open_regular_stream(path, follow=True) as stream:
            return stream.read(SHEBANG_BYTES + len(MAGIC))[SHEBANG_BYTES:] == MAGIC
    except (OSError, ValueError, NotARegularFile):
        return False

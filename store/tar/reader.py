"""A streaming tar reader: entries in archive order, content skipped.

Reads v7, ustar, pax and GNU archives (see `rootlay.store.tar.header` and `.sparse`). Nothing is interpreted beyond the
tar format: names are as stored, whiteouts are files, a hard link's target is as stored. `rootlay.store.layer.tree`
gives them their meaning.

Rules:
1. One pass, bounded memory: extended headers are limited to `EXTENDED_BYTES_MAX`, content is never held.
2. Every header's checksum is verified. A stream that ends inside an entry is truncated; one that ends between two
   entries is accepted here, and `ended` says whether the end marker was seen.
"""

from __future__ import annotations

from collections.abc import Iterator

from rootlay.store.codec.bytestream import ByteSource
from rootlay.store.model import posixacl
from rootlay.store.model.entry import Entry, EntryType, SparseMap
from rootlay.store.model.errors import NotAnArchive, TruncatedArchive, UnsupportedMedia
from rootlay.store.tar.header import (
    BLOCK_BYTES,
    ZERO_BLOCK,
    Header,
    HeaderError,
    PaxFields,
    PaxRecords,
    checksum_fits,
    parse_header,
    parse_pax,
    pax_mtime_ns,
    pax_number,
    pax_xattrs,
)
from rootlay.store.tar.sparse import read_old_gnu, read_pax

# The limit of Go's archive/tar, too; an xattr value of the kernel's maximum (64 KiB) fits.
EXTENDED_BYTES_MAX = 1 << 20

_TYPES = {
    b"0": EntryType.FILE,
    b"\0": EntryType.FILE,
    b"7": EntryType.FILE,
    b"S": EntryType.FILE,
    b"1": EntryType.HARDLINK,
    b"2": EntryType.SYMLINK,
    b"3": EntryType.CHAR_DEVICE,
    b"4": EntryType.BLOCK_DEVICE,
    b"5": EntryType.DIRECTORY,
    b"D": EntryType.DIRECTORY,
    b"6": EntryType.FIFO,
}
# These types have no content, whatever their size field states.
_HEADER_ONLY = frozenset(b"123456")
_U32 = 1 << 32


class TarReader:
    """An iterable, once, of `(name as stored, Entry)`. Entries have no ids; `offset` counts from the archive's start.

    Raises (while iterating): NotAnArchive, TruncatedArchive, UnsupportedMedia.
    """

    def __init__(self, source: ByteSource, what: str) -> None:
        """Read from `source`, called `what` in error messages."""
        self._source = source
        self._what = what
        self._global: PaxFields = {}
        self._records: PaxRecords = []
        self._long_name: bytes | None = None
        self._long_link: bytes | None = None
        self.ended = False

    def __iter__(self) -> Iterator[tuple[bytes, Entry]]:
        """Yield all entries."""
        source = self._source
        extended = {b"x": self._read_pax, b"X": self._read_pax, b"g": self._read_global,
                    b"L": self._read_long_name, b"K": self._read_long_link}  # fmt: skip
        while (block := self._next_block()) is not None:
            try:
                header = parse_header(block)
                read = extended.get(header.typeflag)
                if read is not None:
                    read(self._extended_data(header))
                    continue
                if header.typeflag == b"V":  # GNU volume label
                    self._skip(header.size)
                    continue
                name, entry, left = self._entry(block, header)
            except HeaderError as error:
                raise NotAnArchive(self._what, f"{error.reason} (at byte {source.offset})") from error
            begin = source.offset
            yield name, entry
            self._skip(left - (source.offset - begin), padding=-left % BLOCK_BYTES)

    def _next_block(self) -> bytes | None:
        """Return the next header block, None at the end of the archive."""
        source = self._source
        while True:
            at = source.offset
            block = source.take(BLOCK_BYTES)
            if not block:
                if self._records or self._long_name is not None or self._long_link is not None:
                    raise TruncatedArchive(self._what)  # they announce an entry
                return None
            if len(block) < BLOCK_BYTES:
                if at == 0:
                    raise NotAnArchive(self._what)
                raise TruncatedArchive(self._what)
            if block == ZERO_BLOCK:
                self.ended = True
                return None
            if not checksum_fits(block):
                if at == 0:
                    raise NotAnArchive(self._what)
                raise NotAnArchive(self._what, f"damaged archive: no tar header at byte {at}")
            return block

    def _skip(self, size: int, padding: int | None = None) -> None:
        """Skip content and its padding. umoci leaves out the last padding, and Go accepts that."""
        count = size + (-size % BLOCK_BYTES if padding is None else padding)
        if count and self._source.skip(count) < size:
            raise TruncatedArchive(self._what)

    def _extended_data(self, header: Header) -> bytes:
        """Return the content of an extended header."""
        if header.size > EXTENDED_BYTES_MAX:
            raise HeaderError("tar header", f"an extended header of {header.size} bytes is more than 1 MiB")
        padded_bytes = header.size + -header.size % BLOCK_BYTES
        data = self._source.take(padded_bytes)
        if len(data) < padded_bytes:
            raise TruncatedArchive(self._what)
        return data[: header.size]

    def _read_pax(self, data: bytes) -> None:
        self._records = parse_pax(data)

    def _read_global(self, data: bytes) -> None:
        for key, value in parse_pax(data):
            self._global[key] = value
        if sum(len(k) + len(v) for k, v in self._global.items()) > EXTENDED_BYTES_MAX:
            raise HeaderError("pax header", "the global headers together are more than 1 MiB")

    def _read_long_name(self, data: bytes) -> None:
        self._long_name = data.partition(b"\0")[0]

    def _read_long_link(self, data: bytes) -> None:
        self._long_link = data.partition(b"\0")[0]

    def _take_extensions(self) -> tuple[PaxRecords, PaxFields, bytes | None, bytes | None]:
        """Return the data of the extended headers for the current entry; they apply only to that one."""
        records = self._records
        fields = {**self._global, **dict(records)} if records or self._global else {}
        taken = records, fields, self._long_name, self._long_link
        self._records, self._long_name, self._long_link = [], None, None
        return taken

    def _entry(self, block: bytes, header: Header) -> tuple[bytes, Entry, int]:
        """Return the name and entry of `header`, and how many bytes of content follow."""
        records, fields, long_name, long_link = self._take_extensions()
        name = header.name if long_name is None else long_name
        link = header.link if long_link is None else long_link
        uid, gid, mtime_ns, size = header.uid, header.gid, header.mtime_ns, header.size
        xattrs: tuple[tuple[bytes, bytes], ...] = ()
        if fields:
            name = fields.get(b"GNU.sparse.name") or fields.get(b"path") or name
            link = fields.get(b"linkpath") or link
            uid = pax_number(fields, b"uid", uid, limit=_U32)
            gid = pax_number(fields, b"gid", gid, limit=_U32)
            size = pax_number(fields, b"size", size)
            if fields.get(b"mtime"):
                mtime_ns = pax_mtime_ns(fields[b"mtime"])
            xattrs = pax_xattrs(fields)
        kind = self._type(header.typeflag, name)
        mode = header.mode
        if xattrs:
            is_directory, is_link = kind is EntryType.DIRECTORY, kind is EntryType.SYMLINK
            xattrs, mode = posixacl.settle(xattrs, mode, is_directory=is_directory, is_link=is_link)
        if header.typeflag and header.typeflag[0] in _HEADER_ONLY:
            size = 0
        real_bytes, sparse, left = size, None, size
        if kind is EntryType.FILE:
            real_bytes, sparse, left = self._sparse(block, header, records, fields, size)
        else:
            real_bytes = 0
        entry = Entry(
            kind, mode=mode, uid=uid, gid=gid, size=real_bytes, mtime_ns=mtime_ns, offset=self._source.offset,
            major=header.major, minor=header.minor, xattrs=xattrs, sparse=sparse,
            link=link if kind in (EntryType.SYMLINK, EntryType.HARDLINK) else b"",
        )  # fmt: skip
        return name, entry, left

    def _type(self, typeflag: bytes, name: bytes) -> EntryType:
        """Return the meaning of a type flag. Unknown ones are files, as POSIX demands."""
        if typeflag in (b"M", b"N"):
            raise UnsupportedMedia(self._what, f"tar entries of type {typeflag.decode()} are not supported")
        if typeflag == b"\0" and name.endswith(b"/"):  # v7 had no flag for directories
            return EntryType.DIRECTORY
        return _TYPES.get(typeflag, EntryType.FILE)

    def _sparse(
        self, block: bytes, header: Header, records: PaxRecords, fields: PaxFields, size: int
    ) -> tuple[int, SparseMap | None, int]:
        """Return the expanded size, the map if this is a sparse file, and how many bytes of content follow."""
        if header.typeflag == b"S":
            real_bytes, sparse = read_old_gnu(block, self._source, size, self._what)
            return real_bytes, sparse, size
        if any(key.startswith(b"GNU.sparse.") for key in fields):
            found = read_pax(records, fields, self._source, size, self._what)
            if found is not None:
                return found[0], found[1], size - found[2]
        return size, None, size

"""One entry of a layer index: what a layer says about one name (docs/format.md §1).

Rules:
1. Names and link targets are raw bytes; names are single path components.
2. `id` names the entry, `ino` the entry that holds its content: equal unless the entry is a later hard link.
3. A packed entry is exactly as long as its parts; `unpack` refuses anything else.
"""

from __future__ import annotations

import stat
from enum import Enum
from struct import Struct
from struct import error as struct_error

from rootlay.store.model.errors import CorruptStore
from rootlay.store.model.value import value

ROOT_ID = 1
NAME_BYTES_MAX = 255
PATH_BYTES_MAX = 65534  # RL_DEEP_MAX (store/csrc/abi.h) without the leading slash and the final NUL
TARGET_BYTES_MAX = 4095

META_KEY = b"\xff\xff\xff\xffmeta"
CHECKPOINT_PREFIX = b"\xff\xff\xff\xfe"
# Keys at or above this prefix are not entries.
FIRST_RESERVED_KEY = CHECKPOINT_PREFIX

FLAG_IMPLICIT = 1
FLAG_OPAQUE = 2
FLAG_REPLACES = 4
FLAG_SPARSE = 8

_HEAD = Struct("<BBHIIIIIIIQqQII")
_XATTR = Struct("<HI")
_COUNT = Struct("<I")
_RUN = Struct("<QQ")
_PARENT = Struct(">I")
_ID_AT = slice(4, 8)  # in _HEAD

Xattrs = tuple[tuple[bytes, bytes], ...]
SparseMap = tuple[tuple[int, int], ...]


class EntryType(Enum):
    """The type of an entry; the value is its one-byte code."""

    DIRECTORY = b"d"
    FILE = b"f"
    SYMLINK = b"l"
    CHAR_DEVICE = b"c"
    BLOCK_DEVICE = b"b"
    FIFO = b"p"
    HARDLINK = b"h"  # to a name that is not in this layer
    WHITEOUT = b"w"


TYPE_BITS = {
    EntryType.DIRECTORY: stat.S_IFDIR,
    EntryType.FILE: stat.S_IFREG,
    EntryType.SYMLINK: stat.S_IFLNK,
    EntryType.CHAR_DEVICE: stat.S_IFCHR,
    EntryType.BLOCK_DEVICE: stat.S_IFBLK,
    EntryType.FIFO: stat.S_IFIFO,
}
"""st_mode type bits of the entries in a view."""

ENTRY_TYPES = {bits: kind for kind, bits in TYPE_BITS.items()}
"""The inverse table."""

_BY_CODE = {t.value[0]: t for t in EntryType}
_CODE = {t: t.value[0] for t in EntryType}


@value
class Entry:
    """One name of a layer. Sizes and offsets in bytes, mode without type bits, times in ns since the epoch."""

    type: EntryType
    id: int = 0
    ino: int = 0
    nlink: int = 1
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    offset: int = 0
    major: int = 0
    minor: int = 0
    link: bytes = b""
    xattrs: Xattrs = ()
    sparse: SparseMap | None = None
    implicit: bool = False
    opaque: bool = False
    replaces: bool = False

    @property
    def stored_bytes(self) -> int:
        """Bytes of content in the tar stream: less than `size` for a sparse file."""
        return self.size if self.sparse is None else sum(length for _, length in self.sparse)

    def pack(self) -> bytes:
        """Return the stored form."""
        flags = (
            (FLAG_IMPLICIT if self.implicit else 0)
            | (FLAG_OPAQUE if self.opaque else 0)
            | (FLAG_REPLACES if self.replaces else 0)
            | (FLAG_SPARSE if self.sparse is not None else 0)
        )
        head = _HEAD.pack(
            _CODE[self.type], flags, len(self.xattrs), self.id, self.ino, self.nlink, self.mode, self.uid, self.gid,
            len(self.link), self.size, self.mtime_ns, self.offset, self.major, self.minor,
        )  # fmt: skip
        if not self.xattrs and self.sparse is None:
            return head + self.link
        parts = [head, self.link]
        for name, data in self.xattrs:
            parts += (_XATTR.pack(len(name), len(data)), name, data)
        if self.sparse is not None:
            parts.append(_COUNT.pack(len(self.sparse)))
            parts += (_RUN.pack(offset, length) for offset, length in self.sparse)
        return b"".join(parts)

    @classmethod
    def unpack(cls, buf: bytes) -> Entry:
        """Parse the stored form. Raises CorruptStore."""
        try:
            (code, flags, xattr_count, id_, ino, nlink, mode, uid, gid, link_bytes, size, mtime_ns, offset, major,
             minor) = _HEAD.unpack_from(buf)  # fmt: skip
            kind = _BY_CODE[code]
        except (struct_error, KeyError) as error:
            raise CorruptStore("layer index", "malformed entry") from error
        end = _HEAD.size + link_bytes
        link = buf[_HEAD.size : end]
        xattrs: Xattrs = ()
        sparse: SparseMap | None = None
        try:
            if xattr_count:
                xattrs, end = _unpack_xattrs(buf, end, xattr_count)
            if flags & FLAG_SPARSE:
                sparse, end = _unpack_sparse(buf, end)
        except struct_error as error:
            raise CorruptStore("layer index", "malformed entry") from error
        if end != len(buf):
            raise CorruptStore("layer index", "malformed entry")
        return cls(
            kind, id_, ino, nlink, mode, uid, gid, size, mtime_ns, offset, major, minor, link, xattrs, sparse,
            bool(flags & FLAG_IMPLICIT), bool(flags & FLAG_OPAQUE), bool(flags & FLAG_REPLACES),
        )  # fmt: skip


def _unpack_xattrs(buf: bytes, at: int, count: int) -> tuple[Xattrs, int]:
    """Return `count` xattrs from `buf[at:]`, and their end."""
    found = []
    for _ in range(count):
        name_bytes, value_bytes = _XATTR.unpack_from(buf, at)
        at += _XATTR.size
        found.append((buf[at : at + name_bytes], buf[at + name_bytes : at + name_bytes + value_bytes]))
        at += name_bytes + value_bytes
    return tuple(found), at


def _unpack_sparse(buf: bytes, at: int) -> tuple[SparseMap, int]:
    """Return the sparse map in `buf[at:]`, and its end."""
    (count,) = _COUNT.unpack_from(buf, at)
    at += _COUNT.size
    end = at + count * _RUN.size
    if end > len(buf):
        raise CorruptStore("layer index", "malformed entry")
    return tuple(_RUN.iter_unpack(buf[at:end])), end


def entry_key(parent_id: int, name: bytes) -> bytes:
    """Return the key of `name` in the directory `parent_id`; the root is `(0, b"")`."""
    return _PARENT.pack(parent_id) + name


def split_key(key: bytes) -> tuple[int, bytes]:
    """Return parent id and name: the inverse of `entry_key`."""
    return _PARENT.unpack_from(key)[0], key[_PARENT.size :]


def packed_directory(packed: bytes | None) -> int | None:
    """Return the id of a packed directory; None for another entry, or none."""
    if packed is None or packed[0] != _CODE[EntryType.DIRECTORY]:
        return None
    return int.from_bytes(packed[_ID_AT], "little")

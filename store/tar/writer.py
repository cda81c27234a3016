"""Encoding of tar headers: ustar if it suffices, else pax records. Deterministic.

Rules:
1. A pax header appears only for values that ustar cannot hold: long names, big numbers, times before 1970 or with
   fractions, extended attributes (`SCHILY.xattr.`), ACLs also as text (`SCHILY.acl.`, which tar programs read;
   container engines read only the attribute), sparse files (GNU.sparse 1.0).
2. Names are raw bytes. A pax record that is not UTF-8 is announced by `hdrcharset=BINARY`, as POSIX demands.
"""

from __future__ import annotations

from base64 import b64encode

from rootlay.store.model import posixacl
from rootlay.store.model.entry import Entry, EntryType, Xattrs
from rootlay.store.tar.header import ACL_KEYS, BLOCK_BYTES, NS_PER_S

END_OF_ARCHIVE = bytes(2 * BLOCK_BYTES)

_NAME_BYTES, _PREFIX_BYTES = 100, 155
_TYPEFLAGS = {
    EntryType.FILE: b"0",
    EntryType.HARDLINK: b"1",
    EntryType.SYMLINK: b"2",
    EntryType.CHAR_DEVICE: b"3",
    EntryType.BLOCK_DEVICE: b"4",
    EntryType.DIRECTORY: b"5",
    EntryType.FIFO: b"6",
}

_Records = list[tuple[bytes, bytes]]


def padding(size: int) -> bytes:
    """Return the padding after `size` bytes of content up to whole blocks."""
    return bytes(-size % BLOCK_BYTES)


def encode_entry(path: bytes, entry: Entry) -> tuple[bytes, int]:
    """Return the headers of an entry, and the number of bytes of content that must follow them.

    For a sparse file the map is part of the returned bytes, and the content is its data runs.

    Args:
        path: no leading slash; directories get a trailing one here; empty is the root.
        entry: not a whiteout (that is a file with a name of its own).
    """
    records: _Records = []
    name = path + b"/" if entry.type is EntryType.DIRECTORY and path else path or b"./"
    prefix, short = _split(name)
    if short is None:
        records.append((b"path", name))
        prefix, short = b"", name[:_NAME_BYTES]
    link = entry.link if entry.type in (EntryType.SYMLINK, EntryType.HARDLINK) else b""
    if len(link) > _NAME_BYTES:
        records.append((b"linkpath", link))
    sparse_map = b""
    stored = 0
    if entry.type is EntryType.FILE:
        stored = entry.stored_bytes
        if entry.sparse is not None:
            sparse_map = _sparse_map(entry, records, path)
            prefix, short = b"", b"GNUSparseFile.0/" + path.rpartition(b"/")[2][:80]
            stored += len(sparse_map)
    seconds, fraction = divmod(entry.mtime_ns, NS_PER_S)
    if fraction or not 0 <= seconds < 8**11:
        records.append((b"mtime", _pax_time(entry.mtime_ns)))
    for key, value, width in ((b"size", stored, 11), (b"uid", entry.uid, 7), (b"gid", entry.gid, 7)):
        if value >= 8**width:
            records.append((key, b"%d" % value))
    records += (_xattr_record(key, value) for key, value in entry.xattrs)
    records += _acl_records(entry.xattrs)
    header = _block(short, prefix, _TYPEFLAGS[entry.type], entry, stored, max(0, seconds), link[:_NAME_BYTES])
    return _pax_header(path, records) + header + sparse_map, stored - len(sparse_map)


def _split(name: bytes) -> tuple[bytes, bytes | None]:
    """Return `name` as ustar's prefix and name; the name is None if it does not fit."""
    if len(name) <= _NAME_BYTES:
        return b"", name
    if len(name) <= _PREFIX_BYTES + 1 + _NAME_BYTES:
        # The name field must not be empty, so a trailing slash does not count.
        cut = name.find(b"/", len(name) - _NAME_BYTES - 1, len(name) - 1)
        if 0 < cut <= _PREFIX_BYTES:
            return name[:cut], name[cut + 1 :]
    return b"", None


def _number(value: int, width: int) -> bytes:
    """Encode as octal with a closing NUL, or base-256 if it does not fit (readers of pax use the record instead)."""
    if value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    return (value | 1 << (8 * width - 1)).to_bytes(width, "big")


def _block(name: bytes, prefix: bytes, typeflag: bytes, entry: Entry, size: int, seconds: int, link: bytes) -> bytes:
    device = entry.type in (EntryType.CHAR_DEVICE, EntryType.BLOCK_DEVICE)
    head = b"".join(
        (
            name.ljust(_NAME_BYTES, b"\0"),
            _number(entry.mode, 8),
            _number(entry.uid, 8),
            _number(entry.gid, 8),
            _number(size, 12),
            _number(min(seconds, 8**11 - 1), 12),
        )
    )
    tail = b"".join(
        (
            typeflag,
            link.ljust(_NAME_BYTES, b"\0"),
            b"ustar\x0000",
            bytes(64),
            _number(entry.major if device else 0, 8),
            _number(entry.minor if device else 0, 8),
            prefix.ljust(_PREFIX_BYTES, b"\0"),
            bytes(12),
        )
    )
    return b"%s%06o\0 %s" % (head, sum(head) + sum(tail) + 8 * 32, tail)


def _pax_time(mtime_ns: int) -> bytes:
    """Format decimal seconds without trailing zeros: `-1.5`."""
    seconds, ns = divmod(abs(mtime_ns), NS_PER_S)
    text = b"%d.%09d" % (seconds, ns)
    return (b"-" if mtime_ns < 0 else b"") + text.rstrip(b"0").rstrip(b".")


def _pax_header(path: bytes, records: _Records) -> bytes:
    """Return a pax header block with its records; nothing for no records."""
    if not records:
        return b""
    data = b"".join(_pax_record(key, value) for key, value in records)
    if any(not _is_utf8(value) for key, value in records if not key.startswith(b"SCHILY.")):
        data = _pax_record(b"hdrcharset", b"BINARY") + data
    name = (b"PaxHeaders/" + path.rpartition(b"/")[2])[:_NAME_BYTES]
    header = _block(name, b"", b"x", Entry(EntryType.FILE, mode=0o644), len(data), 0, b"")
    return header + data + padding(len(data))


def _xattr_record(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Return star's form; libarchive's for a name with `=`, which would end star's form."""
    if b"=" in name:
        from urllib.parse import quote_from_bytes

        return b"LIBARCHIVE.xattr." + quote_from_bytes(name).encode(), b64encode(value).rstrip(b"=")
    return b"SCHILY.xattr." + name, value


def _acl_records(xattrs: Xattrs) -> _Records:
    found = []
    for key, name in ACL_KEYS:
        acl = posixacl.valid_of(xattrs, name)
        if acl is not None:
            found.append((key, posixacl.text_of(acl)))
    return found


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _pax_record(key: bytes, value: bytes) -> bytes:
    """Return `LENGTH KEY=VALUE\\n`, where the length counts itself."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _sparse_map(entry: Entry, records: _Records, path: bytes) -> bytes:
    """Return the GNU.sparse 1.0 map that precedes the data; add its records to `records`."""
    runs = list(entry.sparse or ())
    if not runs or runs[-1][0] + runs[-1][1] < entry.size:
        runs.append((entry.size, 0))  # GNU tar marks a hole at the end in this way
    records[:] = [record for record in records if record[0] != b"path"]
    records += [
        (b"GNU.sparse.major", b"1"),
        (b"GNU.sparse.minor", b"0"),
        (b"GNU.sparse.name", path),
        (b"GNU.sparse.realsize", b"%d" % entry.size),
    ]
    text = b"".join([b"%d\n" % len(runs), *(b"%d\n%d\n" % run for run in runs)])
    return text + padding(len(text))

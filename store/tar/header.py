"""The 512-byte header block of a tar archive, and pax records.

Formats: POSIX.1-2017 pax ("ustar Interchange Format", "pax Header Block"), GNU tar manual "Basic Tar Format"
(base-256 numbers, `ustar  ` magic), star(5) (`tar\\0` at 508: a shorter prefix).

Rules:
1. Names are raw bytes whatever `hdrcharset` states: file systems hold bytes.
2. Numbers are checked here; no other module sees a negative size.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error

from rootlay.store.model import posixacl
from rootlay.store.model.entry import Xattrs
from rootlay.store.model.errors import NotAnArchive
from rootlay.store.model.value import value

BLOCK_BYTES = 512
ZERO_BLOCK = bytes(BLOCK_BYTES)
NS_PER_S = 1_000_000_000
SIZE_LIMIT = 1 << 63
MTIME_NS_MIN, MTIME_NS_MAX = -(1 << 63), (1 << 63) - 1
ACL_KEYS = ((b"SCHILY.acl.access", posixacl.ACCESS), (b"SCHILY.acl.default", posixacl.DEFAULT))
XATTR_NAME_BYTES_MAX = 255  # xattr(7)
XATTR_LIST_BYTES_MAX = 1 << 16

PaxRecords = list[tuple[bytes, bytes]]
PaxFields = dict[bytes, bytes]


class HeaderError(NotAnArchive):
    """An invalid header. The reader adds its position."""


@value
class Header:
    """One header block, decoded; sizes in bytes, mtime in ns, names without their padding."""

    typeflag: bytes
    name: bytes
    link: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    major: int
    minor: int


def parse_number(field: bytes, what: str) -> int:
    """Parse an octal (ASCII) or base-256 (GNU) number. Raises HeaderError."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big")
        bits = 8 * len(field)
        # Bit 7 of the first byte is the marker, bit 6 the sign of a two's complement number.
        return value - (1 << bits) if field[0] & 0x40 else value - (1 << (bits - 1))
    end = field.find(b"\0")
    text = (field if end < 0 else field[:end]).strip(b" ")
    if not text:
        return 0
    try:
        if not text.isdigit():
            raise ValueError
        return int(text, 8)
    except ValueError:
        raise HeaderError("tar header", f"the {what} is not a number") from None


def checksum_fits(block: bytes) -> bool:
    """Return whether the block's checksum is right: of unsigned bytes, or of signed ones as in old implementations."""
    try:
        stored = parse_number(block[148:156], "checksum")
    except HeaderError:
        return False
    plain = sum(block) - sum(block[148:156]) + 8 * 32
    if stored == plain:
        return True
    high = sum(1 for byte in block[:148] + block[156:] if byte & 0x80)
    return stored == plain - 256 * high


def _text(field: bytes) -> bytes:
    end = field.find(b"\0")
    return field if end < 0 else field[:end]


def parse_header(block: bytes) -> Header:
    """Decode a block whose checksum fits. Raises HeaderError."""
    name = _text(block[:100])
    typeflag = block[156:157]
    if block[257:263] == b"ustar\0":
        prefix = _text(block[345:476] if block[508:512] == b"tar\0" else block[345:500])
        if prefix:
            name = prefix + b"/" + name
    elif block[257:265] == b"ustar  \0" and block[345] and not _is_gnu_time(block):
        # Go up to 1.7 wrote ustar prefixes into GNU headers (golang/go issue 12594); archives of that time exist.
        prefix = _text(block[345:500])
        if prefix.isascii():
            name = prefix + b"/" + name
    size = parse_number(block[124:136], "size")
    if not 0 <= size < SIZE_LIMIT:
        raise HeaderError("tar header", "negative size" if size < 0 else "the size does not fit 63 bits")
    device = typeflag in (b"3", b"4")
    return Header(
        typeflag,
        name,
        _text(block[157:257]),
        parse_number(block[100:108], "mode") & 0o7777,
        _unsigned(parse_number(block[108:116], "uid"), "uid"),
        _unsigned(parse_number(block[116:124], "gid"), "gid"),
        size,
        clamp_mtime(parse_number(block[136:148], "mtime") * NS_PER_S),
        _unsigned(parse_number(block[329:337], "device number"), "device number") if device else 0,
        _unsigned(parse_number(block[337:345], "device number"), "device number") if device else 0,
    )


def _is_gnu_time(block: bytes) -> bool:
    """Return whether access and change time are in GNU tar's places."""
    try:
        parse_number(block[345:357], "atime")
        parse_number(block[357:369], "ctime")
    except HeaderError:
        return False
    return True


def _unsigned(value: int, what: str) -> int:
    """Return `value` if it fits 32 bits. Raises HeaderError."""
    if not 0 <= value < 1 << 32:
        raise HeaderError("tar header", f"the {what} {value} does not fit 32 bits")
    return value


def clamp_mtime(mtime_ns: int) -> int:
    """Return the nearest time that 64 bits of nanoseconds hold (years 1677 to 2262)."""
    return max(MTIME_NS_MIN, min(MTIME_NS_MAX, mtime_ns))


def parse_pax(data: bytes) -> PaxRecords:
    """Parse the records of a pax header, `LENGTH KEY=VALUE\\n` each, in order. Raises HeaderError."""
    records = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        digits = data[at:space]
        if space < 0 or not digits.isdigit():
            if not data[at:].strip(b"\0"):
                break  # some writers pad with NUL
            raise HeaderError("pax header", "malformed record length")
        end = at + int(digits)
        if end > len(data) or end <= space + 1 or data[end - 1 : end] != b"\n":
            raise HeaderError("pax header", "malformed record")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or not key:
            raise HeaderError("pax header", "record without a key")
        records.append((key, value))
        at = end
    return records


def pax_number(fields: PaxFields, key: bytes, default: int, *, limit: int = SIZE_LIMIT) -> int:
    """Return the decimal, non-negative number of `key`, below `limit`. Raises HeaderError."""
    text = fields.get(key)
    if not text:
        return default
    digits = text.removeprefix(b"+").lstrip(b"0") or b"0"
    if not text.removeprefix(b"+").isdigit() or len(digits) > 20 or int(digits) >= limit:
        raise HeaderError("pax header", f"bad value of {key.decode('ascii', 'replace')}")
    return int(digits)


def pax_mtime_ns(text: bytes) -> int:
    """Parse a pax time: decimal seconds, maybe negative, maybe a fraction; to ns, rounded down. Raises HeaderError."""
    negative = text.startswith(b"-")
    whole, _, fraction = text.lstrip(b"+-").partition(b".")
    if not (whole or fraction) or not (whole or b"0").isdigit() or not (fraction or b"0").isdigit() or len(whole) > 30:
        raise HeaderError("pax header", "bad value of mtime")
    ns = int(whole or b"0") * NS_PER_S + int((fraction[:9]).ljust(9, b"0"))
    if negative:
        ns = -ns - (1 if fraction[9:].strip(b"0") else 0)
    return clamp_mtime(ns)


def pax_xattrs(fields: PaxFields) -> Xattrs:
    """Return extended attributes, sorted by name: star's `SCHILY.xattr.`, else libarchive's (name in percent-encoding,
    value in base64). ACLs as text (`SCHILY.acl.`) become attributes, unless the attribute itself is there.

    Raises HeaderError.
    """
    found: dict[bytes, bytes] = {}
    for key, data in fields.items():
        if key.startswith(b"LIBARCHIVE.xattr."):
            try:
                from urllib.parse import unquote_to_bytes  # few archives have such attributes

                found[unquote_to_bytes(key[17:])] = b64decode(data + b"=" * (-len(data) % 4), validate=True)
            except Base64Error:
                raise HeaderError("pax header", "an extended attribute is not base64") from None
    for key, data in fields.items():
        if key.startswith(b"SCHILY.xattr."):
            found[key[13:]] = data
    for key, attribute in ACL_KEYS:
        acl = posixacl.of_text(fields[key]) if key in fields and attribute not in found else None
        if acl is not None:
            found[attribute] = posixacl.pack(acl)
    for name in found:
        if not name or len(name) > XATTR_NAME_BYTES_MAX or b"\0" in name:
            raise HeaderError("pax header", "bad name of an extended attribute")
    if sum(len(name) + 1 for name in found) > XATTR_LIST_BYTES_MAX:
        raise HeaderError("pax header", "more extended attributes than a file can have")
    return tuple(sorted(found.items()))

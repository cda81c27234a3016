"""Tar archives byte by byte: also those that no writer makes."""

from __future__ import annotations

BLOCK_BYTES = 512
END = bytes(2 * BLOCK_BYTES)


def pad(data: bytes) -> bytes:
    """Data in whole blocks."""
    return data + bytes(-len(data) % BLOCK_BYTES)


def octal(value: int, width: int) -> bytes:
    """A number field."""
    return b"%0*o\0" % (width - 1, value)


def base256(value: int, width: int = 12) -> bytes:
    """GNU's number field; negative ones too."""
    if value < 0:
        return ((1 << 8 * width) + value).to_bytes(width, "big")
    return (value | 1 << (8 * width - 1)).to_bytes(width, "big")


def header(
    name: bytes, kind: bytes = b"0", size: int | bytes = 0, link: bytes = b"", *, mode: bytes = b"0000644\0",
    uid: bytes = b"0000000\0", mtime: bytes = b"00000000000\0", device: bytes = bytes(16),
    magic: bytes = b"ustar\x0000", prefix: bytes = b"", checksum: bytes | None = None,
) -> bytes:  # fmt: skip
    """One header block. `size` and the other numbers may be raw fields; the checksum fits unless it is given."""
    field = octal(size, 12) if isinstance(size, int) else size
    head = name[:100].ljust(100, b"\0") + mode + uid + b"0000000\0" + field + mtime
    tail = kind + link[:100].ljust(100, b"\0") + magic + bytes(64) + device + prefix.ljust(167, b"\0")
    total = sum(head) + sum(tail) + 8 * 32
    return head + (b"%06o\0 " % total if checksum is None else checksum) + tail


def record(key: bytes, value: bytes) -> bytes:
    """A pax record."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    return b"%d %s=%s\n" % (rest + len(str(length)), key, value)


def pax(data: bytes, kind: bytes = b"x") -> bytes:
    """A pax header with these records, or with what is meant to be some."""
    return header(b"pax", kind, len(data)) + pad(data)


def gnu_long(text: bytes, kind: bytes = b"L") -> bytes:
    """GNU's header for a long name (L) or link target (K)."""
    return header(b"././@LongLink", kind, len(text) + 1, magic=b"ustar  \0") + pad(text + b"\0")


def entry(name: bytes, kind: bytes = b"0", content: bytes = b"", link: bytes = b"", form: str = "ustar") -> bytes:
    """An entry; name and link target stand in the header (where they fit), in a pax record, or in GNU's headers."""
    before = b""
    if form == "pax" or (form == "ustar" and max(len(name), len(link)) > 100):
        before = pax(record(b"path", name) + (record(b"linkpath", link) if link else b""))
        name, link = b"short", link[:1]
    elif form == "gnu":
        before = gnu_long(name) + (gnu_long(link, b"K") if link else b"")
        name, link = b"short", link[:1]
    return before + header(name, kind, len(content), link) + pad(content)


def gnu_sparse(name: bytes, real_bytes: int, runs: list[tuple[int, int]], content: bytes) -> bytes:
    """An old GNU sparse file."""
    block = bytearray(header(name, b"S", len(content), magic=b"ustar  \0"))
    for number, (offset, length) in enumerate(runs[:4]):
        block[386 + 24 * number : 410 + 24 * number] = base256(offset) + base256(length)
    block[483:495] = base256(real_bytes)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + pad(content)

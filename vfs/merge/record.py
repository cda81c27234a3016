"""Records: metadata that an ordinary user cannot store on a real file (docs/format.md §6, *Record*).

The text of a record is an attribute of the file (rootlay.vfs.merge.filerecord), or the target of a symbolic link next
to its name: one system call reads it, and it can be replaced atomically.

A hostile program can bypass the engine and write anything into its upper, so records are parsed strictly.
"""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Iterator

from rootlay.store.model.value import value

XATTR_NAME_MAX_BYTES = 255
NOTHING = b"-"
"""The text of a linked record that has no fields: no symbolic link is empty."""
RECORD_MAX_BYTES = 4095
"""Longest target of a symbolic link on every Linux file system that has symbolic links."""


@value
class Record:
    """The fields of a record; None means: as in the real file.

    `mode` is a full st_mode. `redirect` is an absolute path in the layers below (`/a/b`). `linked` is the number of the
    linked record that the other fields come from, or are written to (docs/format.md §6, *Linked record*).
    """

    uid: int | None = None
    gid: int | None = None
    mode: int | None = None
    device: tuple[int, int] | None = None
    ino: int | None = None
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    redirect: bytes | None = None
    linked: int | None = None

    def __bool__(self) -> bool:
        return self != NO_RECORD

    @classmethod
    def parse(cls, text: bytes) -> Record:
        """Parse the text of a record. Fields of later versions are skipped.

        Raises:
            ValueError: a known field has a malformed value.
        """
        numbers: dict[bytes, int] = {}
        device: tuple[int, int] | None = None
        xattrs: list[tuple[bytes, bytes]] = []
        redirect: bytes | None = None
        rest = text
        while rest:
            if rest.startswith(b"r="):
                redirect = _redirect(rest[2:])
                break
            field, _, rest = rest.partition(b";")
            key, _, value = field.partition(b"=")
            if key in (b"u", b"g", b"i", b"l"):
                numbers[key] = _number(value, 1 << 64 if key in b"il" else 1 << 32)
            elif key == b"m":
                numbers[key] = _number(value, 1 << 32, 8)
            elif key == b"d":
                major, _, minor = value.partition(b":")
                device = (_number(major, 1 << 32), _number(minor, 1 << 32))
            elif key[:1] == b"x":
                xattrs.append((_xattr_name(unhexlify(key[1:])), unhexlify(value)))
        u, g, m, i, linked = (numbers.get(key) for key in (b"u", b"g", b"m", b"i", b"l"))
        return cls(u, g, m, device, i, tuple(sorted(xattrs)), redirect, linked)

    def format(self) -> bytes:
        """Return the text of the record; the same record always gives the same text."""
        return b";".join(self._fields())

    def beside(self) -> bytes:
        """Return the text of the link next to a name with this record: for a linked record, its place."""
        return b"l=%d" % self.linked if self.linked is not None else self.format()

    def _fields(self) -> Iterator[bytes]:
        if self.uid is not None:
            yield b"u=%d" % self.uid
        if self.gid is not None:
            yield b"g=%d" % self.gid
        if self.mode is not None:
            yield b"m=%o" % self.mode
        if self.device is not None:
            yield b"d=%d:%d" % self.device
        if self.ino is not None:
            yield b"i=%d" % self.ino
        if self.linked is not None:
            yield b"l=%d" % self.linked
        for name, data in sorted(self.xattrs):
            yield b"x%s=%s" % (name.hex().encode(), data.hex().encode())
        if self.redirect is not None:
            yield b"r=" + self.redirect


def _number(text: bytes, limit: int, base: int = 10) -> int:
    """Parse digits alone: int() also takes signs, spaces and underscores."""
    if not text.isdigit() or len(text) > 22:
        raise ValueError(f"not a number: {text!r}")
    number = int(text, base)
    if number >= limit:
        raise ValueError(f"a number that is too large: {text!r}")
    return number


def _xattr_name(name: bytes) -> bytes:
    if not name or b"\0" in name or len(name) > XATTR_NAME_MAX_BYTES:
        raise ValueError(f"not the name of an extended attribute: {name!r}")
    return name


def _redirect(path: bytes) -> bytes:
    """Parse an absolute path of names: a `..` would lead out of the layer."""
    parts = path.split(b"/")
    if parts[0] or len(parts) < 2 or not {b"", b".", b".."}.isdisjoint(parts[1:]):
        raise ValueError(f"not a redirect: {path!r}")
    return path


NO_RECORD = Record()

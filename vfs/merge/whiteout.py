"""Reserved names in a directory of an upper (docs/format.md §6, first table).

1. Names that start with `.wh.` are never shown and never made by a caller.
2. A name too long for its mark is marked under its hash. The mark of a long whiteout holds the name itself, and
   counts only when it is the name looked for.
"""

from __future__ import annotations

from typing import Literal

from rootlay.store.model.value import value
from rootlay.vfs.merge.bloom import fnv1a

PREFIX = b".wh."
OPAQUE = b".wh..wh..opq"
RECORD = b".wh..wh.m."
RECORD_LONG = b".wh..wh.n."
WHITEOUT_LONG = b".wh..wh.w."
TEMPORARY = b".wh..wh.t."
LINKED = b".wh..wh.l."
WHITEOUT_MAX_NAME = 251
RECORD_MAX_NAME = 244


def is_reserved(name: bytes) -> bool:
    """Return whether a name is reserved for rootlay."""
    return name.startswith(PREFIX)


def is_long(name: bytes) -> bool:
    """Return whether the whiteout of a name is a link under its hash rather than an empty file."""
    return len(name) > WHITEOUT_MAX_NAME


def whiteout_name(name: bytes) -> bytes:
    """Return the name of the whiteout of a name."""
    return WHITEOUT_LONG + b"%016x" % fnv1a(name) if is_long(name) else PREFIX + name


def long_whiteout_target(mark: bytes, target: bytes) -> bytes | None:
    """Return the name that a link under a hash hides; None if the link does not match its hash."""
    return target if is_long(target) and b"/" not in target and whiteout_name(target) == mark else None


def record_name(name: bytes) -> bytes:
    """Return the name of the record of a name (empty: of the upper's root)."""
    return RECORD_LONG + b"%016x" % fnv1a(name) if len(name) > RECORD_MAX_NAME else RECORD + name


def linked_path(number: int) -> bytes:
    """Return the path of a linked record in its upper."""
    return b"/" + LINKED + b"%d" % number


@value
class Mark:
    """A parsed reserved name. `name` is None if the mark alone does not contain it (a link under a hash)."""

    kind: Literal["whiteout", "opaque", "record", "linked", "temporary"]
    name: bytes | None


def parse_mark(name: bytes) -> Mark | None:
    """Return the meaning of a name in a directory; None for an ordinary name.

    AUFS's own marks (`.wh..wh.aufs`, `.wh..wh.plnk`, `.wh..wh.orph`) count as temporary, and so do whiteouts of
    nothing, which only a hostile program makes. They are never shown.
    """
    if not name.startswith(PREFIX):
        return None
    if name == OPAQUE:
        return Mark("opaque", None)
    if name.startswith(RECORD):
        return Mark("record", name[len(RECORD) :])
    if name.startswith(RECORD_LONG):
        return Mark("record", None)
    if name.startswith(LINKED):
        return Mark("linked", None)
    if name.startswith(WHITEOUT_LONG):
        return Mark("whiteout", None)
    if name.startswith(b".wh..wh.") or name[len(PREFIX) :] in (b"", b".", b".."):
        return Mark("temporary", None)
    return Mark("whiteout", name[len(PREFIX) :])

"""Names in archives, in their canonical form."""

from __future__ import annotations

from rootlay.store.model.entry import NAME_BYTES_MAX, PATH_BYTES_MAX
from rootlay.store.model.errors import UnsafePath


def normalise(raw: bytes) -> bytes:
    """Return the canonical form of a name in an archive: relative, single slashes, no dots; empty for the root.

    Raises UnsafePath.
    """
    if b"\0" in raw:
        raise UnsafePath(raw, "NUL in a name")
    parts = raw.split(b"/")
    if b".." in parts:
        raise UnsafePath(raw, "a `..` component leads out of the root")
    if b"" in parts or b"." in parts:
        parts = [part for part in parts if part not in (b"", b".")]
        path = b"/".join(parts)
    else:
        path = raw
    if len(path) > NAME_BYTES_MAX:
        if len(path) > PATH_BYTES_MAX:
            raise UnsafePath(raw, f"longer than {PATH_BYTES_MAX} bytes")
        if any(len(part) > NAME_BYTES_MAX for part in parts):
            raise UnsafePath(raw, f"a component is longer than {NAME_BYTES_MAX} bytes")
    return path

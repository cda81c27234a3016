"""A canonical path inside an image.

1. Raw bytes: an image may hold names in any encoding, or in none.
2. Absolute, no empty component, no `.`, no `..`, no trailing slash (the root is `/`).
3. It contains nothing about the host: host paths are `pathlib.Path`.
"""

from __future__ import annotations

import os

from rootlay.store.model.value import value

PATH_MAX_BYTES = 4096
"""Longest path that the kernel accepts, the final NUL included (limits.h)."""

NAME_MAX_BYTES = 255


@value(order=True)
class ImagePath:
    """A canonical absolute path inside an image. Compare and sort by bytes."""

    raw: bytes

    def __post_init__(self) -> None:
        parts = self.raw.split(b"/")
        inside = len(parts) > 1 and parts[0] == b"" and not any(p in (b"", b".", b"..") for p in parts[1:])
        canonical = self.raw == b"/" or inside
        if not canonical or b"\0" in self.raw:
            raise ValueError(f"not a canonical path inside an image: {self.raw!r}")

    @classmethod
    def of(cls, path: PathArgument) -> ImagePath:
        """Return the canonical form of a path, by text alone: `..` is removed lexically, links are not read.

        Raises:
            ValueError: the path holds a NUL byte.
        """
        kept: list[bytes] = []
        for part in raw_path(path).split(b"/"):
            if part == b"..":
                del kept[-1:]
            elif part not in (b"", b"."):
                kept.append(part)
        return cls(b"/" + b"/".join(kept))

    @property
    def name(self) -> bytes:
        """The last component; empty for the root."""
        return self.raw.rpartition(b"/")[2]

    @property
    def parent(self) -> ImagePath:
        """The directory that holds this path; the root's is the root."""
        return ImagePath(self.raw.rpartition(b"/")[0] or b"/")

    @property
    def parts(self) -> tuple[bytes, ...]:
        """The components, without the root."""
        return tuple(part for part in self.raw.split(b"/") if part)

    def __truediv__(self, name: bytes) -> ImagePath:
        return ImagePath(self.raw.rstrip(b"/") + b"/" + name)

    def __bytes__(self) -> bytes:
        return self.raw

    def __str__(self) -> str:
        return os.fsdecode(self.raw)


PathArgument = str | bytes | ImagePath
"""Path arguments of the public operations; `raw_path` turns them into bytes first."""


def raw_path(path: PathArgument) -> bytes:
    """Return the bytes of a path argument, not made canonical: the kernel interprets trailing slashes and `..`.

    Raises:
        ValueError: a NUL byte, with the message of the `os` functions.
    """
    raw = path.raw if isinstance(path, ImagePath) else os.fsencode(path)
    if b"\0" in raw:
        raise ValueError("embedded null byte")
    return raw

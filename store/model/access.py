"""The ways to the content of a layer. By itself: what writes layers needs no codec."""

from __future__ import annotations

from enum import Enum


class Access(Enum):
    """How a layer's content is reached later; the value is `access` in the layer index."""

    TAR = "tar"
    GZIP = "gzip"
    ZSTD = "zstd"
    PACK = "pack"
    LAZY = "lazy"

"""The ways to access the content of a layer. A separate module: writers of layers need no codec."""

from __future__ import annotations

from enum import Enum


class Access(Enum):
    """The later access to a layer's content; the value is `access` in the layer index."""

    TAR = "tar"
    GZIP = "gzip"
    ZSTD = "zstd"
    PACK = "pack"
    LAZY = "lazy"

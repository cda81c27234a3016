"""The interface for fetching missing content of a lazy layer: the registry client supplies it to a layer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rootlay.store.model.errors import RootlayError

FetchRange = Callable[[int, int], bytes]
"""A function that returns the bytes of a blob from the first number to before the second. Raises RootlayError."""

OpenFetch = Callable[[Path], FetchRange]
"""A function that opens a `FetchRange` for the lazy layer in a directory."""


def unreachable(directory: Path) -> FetchRange:
    """Raise an error: the `OpenFetch` of callers that must not use the network."""
    raise RootlayError(
        f"{directory.name[:12]}: the layer's content is not in the store: `rootlay pull` fetches the whole image"
    )

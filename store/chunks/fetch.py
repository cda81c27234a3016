"""How the content of a lazy layer that is not here is fetched: what a layer is given, by whoever knows registries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rootlay.store.model.errors import RootlayError

FetchRange = Callable[[int, int], bytes]
"""Gets the bytes of a blob from the first number to before the second. Raises RootlayError."""

OpenFetch = Callable[[Path], FetchRange]
"""Opens a `FetchRange` for the lazy layer in a directory."""


def unreachable(directory: Path) -> FetchRange:
    """The `OpenFetch` of those that must not use the network."""
    raise RootlayError(f"{directory.name[:12]}: its content is not fetched here")

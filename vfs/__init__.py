"""The path-remapping virtual file system: images and containers for Python programs.

The public names are imported when they are first used, so that `import rootlay.vfs` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rootlay.vfs.container import Container
    from rootlay.vfs.images import Image, Store

__all__ = ["Container", "Image", "Store"]

_HOMES = {"Container": "rootlay.vfs.container", "Image": "rootlay.vfs.images", "Store": "rootlay.vfs.images"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)

"""The path-remapping virtual file system: images and containers for Python programs.

The public names are imported when they are first used, so that `import rootlay.vfs` costs nothing. docs/api.md is the
reference; errors are those of `rootlay.store.errors` and the ones below, all of them `StoreError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rootlay.store.containererrors import SnapshotExists, UnknownSnapshot
    from rootlay.store.containerrecord import Bind
    from rootlay.store.errors import ContainerRunning, NameInUse, StoreError, UnknownContainer, UnknownImage
    from rootlay.store.uppers import Snapshot
    from rootlay.vfs.compare import Changes
    from rootlay.vfs.container import Container
    from rootlay.vfs.create import ContainerOptions
    from rootlay.vfs.diff import Change
    from rootlay.vfs.fsspecfs import RootlayFileSystem
    from rootlay.vfs.hook.activation import Activation
    from rootlay.vfs.images import Image, Store
    from rootlay.vfs.layerfs import LayerFS
    from rootlay.vfs.overlay import Overlay

__all__ = [
    "Activation",
    "Bind",
    "Change",
    "Changes",
    "Container",
    "ContainerOptions",
    "ContainerRunning",
    "Image",
    "LayerFS",
    "NameInUse",
    "Overlay",
    "RootlayFileSystem",
    "Snapshot",
    "SnapshotExists",
    "Store",
    "StoreError",
    "UnknownContainer",
    "UnknownImage",
    "UnknownSnapshot",
]

_HOMES = {
    "Activation": "rootlay.vfs.hook.activation",
    "Bind": "rootlay.store.containerrecord",
    "Change": "rootlay.vfs.diff",
    "Changes": "rootlay.vfs.compare",
    "Container": "rootlay.vfs.container",
    "ContainerOptions": "rootlay.vfs.create",
    "ContainerRunning": "rootlay.store.errors",
    "Image": "rootlay.vfs.images",
    "LayerFS": "rootlay.vfs.layerfs",
    "NameInUse": "rootlay.store.errors",
    "Overlay": "rootlay.vfs.overlay",
    "RootlayFileSystem": "rootlay.vfs.fsspecfs",
    "Snapshot": "rootlay.store.uppers",
    "SnapshotExists": "rootlay.store.containererrors",
    "Store": "rootlay.vfs.images",
    "StoreError": "rootlay.store.errors",
    "UnknownContainer": "rootlay.store.errors",
    "UnknownImage": "rootlay.store.errors",
    "UnknownSnapshot": "rootlay.store.containererrors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

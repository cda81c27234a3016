"""The path-remapping virtual file system: images and containers for Python programs.

The public names are imported when they are first used, so that `import rootlay.vfs` costs nothing. docs/api.md is the
reference; errors are those of `rootlay.store.model.errors` and the ones below, all of them `RootlayError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rootlay.store.containers.record import Bind
    from rootlay.store.containers.upperstack import Snapshot
    from rootlay.store.model.containererrors import SnapshotExists, UnknownSnapshot
    from rootlay.store.model.errors import ContainerRunning, NameInUse, RootlayError, UnknownContainer, UnknownImage
    from rootlay.vfs.api.container import Container
    from rootlay.vfs.api.images import Image, Store
    from rootlay.vfs.changes.compare import Changes
    from rootlay.vfs.changes.diff import Change
    from rootlay.vfs.containers.create import ContainerOptions
    from rootlay.vfs.hook.activation import Activation
    from rootlay.vfs.overlay.overlay import Overlay
    from rootlay.vfs.plugins.fsspecfs import RootlayFileSystem
    from rootlay.vfs.pyfs.layerfs import LayerFS

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
    "RootlayError",
    "RootlayFileSystem",
    "Snapshot",
    "SnapshotExists",
    "Store",
    "UnknownContainer",
    "UnknownImage",
    "UnknownSnapshot",
]

_HOMES = {
    "Activation": "rootlay.vfs.hook.activation",
    "Bind": "rootlay.store.containers.record",
    "Change": "rootlay.vfs.changes.diff",
    "Changes": "rootlay.vfs.changes.compare",
    "Container": "rootlay.vfs.api.container",
    "ContainerOptions": "rootlay.vfs.containers.create",
    "ContainerRunning": "rootlay.store.model.errors",
    "Image": "rootlay.vfs.api.images",
    "LayerFS": "rootlay.vfs.pyfs.layerfs",
    "NameInUse": "rootlay.store.model.errors",
    "Overlay": "rootlay.vfs.overlay.overlay",
    "RootlayFileSystem": "rootlay.vfs.plugins.fsspecfs",
    "Snapshot": "rootlay.store.containers.upperstack",
    "SnapshotExists": "rootlay.store.model.containererrors",
    "Store": "rootlay.vfs.api.images",
    "RootlayError": "rootlay.store.model.errors",
    "UnknownContainer": "rootlay.store.model.errors",
    "UnknownImage": "rootlay.store.model.errors",
    "UnknownSnapshot": "rootlay.store.model.containererrors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""What the store has, for completion: only names, read as cheaply as possible. A damaged store has no names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from rootlay.store.model.errors import RootlayError


def find_names(kind: str, root: Path) -> list[str]:
    """Return the names of a kind (`container`, `image`, `volume`, `network`), sorted; [] for another kind."""
    find = _FINDERS.get(kind)
    try:
        return sorted(find(root)) if find is not None and root.is_dir() else []
    except (OSError, RootlayError, ValueError):
        return []


def _containers(root: Path) -> Iterator[str]:
    yield from os.listdir(root / "containers" / "names")


def _images(root: Path) -> Iterator[str]:
    from rootlay.store.layout.layout import Layout
    from rootlay.store.model.reference import Reference

    for manifest in Layout(root).read_index().manifests:
        if name := manifest.ref_name:
            yield Reference.parse(name).familiar


def _volumes(root: Path) -> Iterator[str]:
    from rootlay.store.volumes.volumes import Volumes

    for volume in Volumes(root).iter_all():
        yield volume.name


def _networks(root: Path) -> Iterator[str]:
    from rootlay.store.networks.networks import iter_networks

    for network in iter_networks(root):
        yield network.name


def find_snapshots(root: Path, container: str) -> list[str]:
    """Return the names of a container's snapshots, oldest first."""
    from rootlay.store.containers.containers import Containers
    from rootlay.store.containers.upperstack import iter_snapshots

    try:
        record = Containers(root).find(container)
        return [snapshot.name for snapshot in iter_snapshots(record.path)]
    except (OSError, RootlayError, ValueError):
        return []


def find_paths(root: Path, container: str, begun: str) -> list[str]:
    """Return the paths inside a container that continue `begun`; those of directories end in a slash."""
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.overlay.containerstack import open_overlay

    directory, slash, _ = begun.rpartition("/")
    try:
        with open_overlay(Containers(root).find(container)) as overlay:
            listed = overlay.scandir(directory or "/")
    except (OSError, RootlayError, ValueError):
        return []
    return [f"{directory}{slash}{os.fsdecode(entry.name)}{'/' if entry.is_dir else ''}" for entry in listed]


_FINDERS: dict[str, Callable[[Path], Iterator[str]]] = {
    "container": _containers,
    "image": _images,
    "volume": _volumes,
    "network": _networks,
}

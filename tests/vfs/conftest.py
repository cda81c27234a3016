"""Stacks of layers for the tests of the overlay rules; a small real image for those of the objects above them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rootlay.vfs import Image, Store
from rootlay.vfs.merge.bloom import Bloom
from rootlay.vfs.merge.stack import DirLayer, Ownership, Stack
from rootlay.vfs.overlay.overlay import Overlay
from tests.support.boxes.forms import records  # noqa: F401 (a fixture)
from tests.support.oracles.memory_view import LayerEntry, MemoryHydrator, MemoryView
from tests.vfs.damaged_store import damaged, store_to_damage  # noqa: F401 (fixtures)


class StackBuilder:
    """Makes overlays below one directory and closes them at the end."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.upper = base / "upper"
        self.opened: list[Overlay] = []

    def stack(
        self,
        *lowers: DirLayer,
        layers: tuple[list[LayerEntry], ...] | None = None,
        writable: bool = True,
        mapped: tuple[int, int] = (0, 0),
    ) -> Stack:
        self.upper.mkdir(exist_ok=True)
        bloom = self.base / "bloom"
        if not bloom.exists():
            Bloom.create(bloom).close()
        view = MemoryView(*layers) if layers is not None else None
        hydrated = self.base / "hydrated"
        hydrated.mkdir(exist_ok=True)
        upper = (DirLayer.at(self.upper, writable=True, bloom=bloom),) if writable else ()
        return Stack(
            (*upper, *lowers),
            view,
            MemoryHydrator(view, hydrated) if view is not None else None,
            Ownership(os.geteuid(), os.getegid(), *mapped),
            self.base / "lock",
        )

    def overlay(self, *lowers: DirLayer, layers: tuple[list[LayerEntry], ...] | None = None) -> Overlay:
        self.opened.append(Overlay(self.stack(*lowers, layers=layers)))
        return self.opened[-1]

    def lower(self, name: str, fill: Callable[[Path], None], *, marks: bool = False) -> DirLayer:
        path = self.base / name
        path.mkdir()
        fill(path)
        return DirLayer.at(path, marks=marks)


@pytest.fixture
def build(tmp_path: Path) -> Iterator[StackBuilder]:
    builder = StackBuilder(tmp_path)
    yield builder
    for overlay in builder.opened:
        overlay.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store of the test's own."""
    return Store.open(tmp_path / "store")


@pytest.fixture
def image(store: Store, small_tree: Path) -> Image:
    """The small root file system as the image `small`."""
    return store.import_rootfs(small_tree, "small")

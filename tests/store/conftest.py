"""Stores and archives to test with."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rootlay.store.store import Store

# pytest's importlib mode leaves sys.path alone.
sys.path.insert(0, str(Path(__file__).parent))

from store_archives import make_tar, snapshot


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store.open(tmp_path / "store")


@pytest.fixture
def unchanged(store: Store) -> Iterator[Store]:
    """A store that holds one image, and that must not change during the test."""
    tar = store.root.parent / "base.tar"
    tar.write_bytes(make_tar([("base", "f", "base")]))
    store.import_rootfs(tar, "base")
    before = snapshot(store.root)
    yield store
    assert snapshot(store.root) == before
    assert not list((store.root / "tmp").iterdir())


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """The path of a program, or a skip that names it."""

    def find(name: str) -> str:
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"{name} is not installed")
        return found

    return find

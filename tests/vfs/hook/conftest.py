"""An image to be inside of, and a look at where the process's function pointers lead."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootlay.vfs import Container, Image, Store
from tests.support.rootfs import build_rootfs, copy_program


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    base = tmp_path_factory.mktemp("hook")
    tree = base / "tree"
    tree.mkdir()
    build_rootfs(tree)
    copy_program(Path(sys.executable), tree, tree / "bin/unused")  # for its libraries: the interpreter comes along
    (tree / "bin/unused").unlink()
    return Store.open(base / "store").import_rootfs(tree, "small")


@pytest.fixture
def container(image: Image) -> Iterator[Container]:
    with image.container() as made:
        yield made

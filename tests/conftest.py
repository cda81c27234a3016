"""What tests of more than one folder stand on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # importlib mode leaves it out

from tests.cli.rootfs import build_rootfs

pytest.register_assert_rewrite("tests.vfs.overlay_machine")


@pytest.fixture(scope="session")
def small_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small root file system, unpacked; not to be changed."""
    target = tmp_path_factory.mktemp("small") / "tree"
    target.mkdir()
    build_rootfs(target)
    return target

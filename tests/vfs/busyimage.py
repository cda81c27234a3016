"""An image with the programs that misbehave in tests: they print without end, start sessions, write, and sleep."""

from __future__ import annotations

from pathlib import Path

from rootlay.vfs import Image, Store
from tests.support.rootfs import build_rootfs, copy_program


def import_busy(base: Path) -> Image:
    """Import a small root file system with `yes` into a store below `base`."""
    tree = base / "tree"
    tree.mkdir()
    build_rootfs(tree)
    copy_program(Path("/usr/bin/yes"), tree, tree / "bin/yes")
    return Store.open(base / "store").import_rootfs(tree, "small")

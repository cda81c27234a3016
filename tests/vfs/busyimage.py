"""An image with the programs that misbehave in tests: they print without end, start sessions, write, and sleep."""

from __future__ import annotations

from pathlib import Path

from rootlay.vfs import Image, Store
from tests.support.rootfs import build_rootfs, copy_program


def import_busy(base: Path) -> Image:
    """Import a small root file system, with yes, setsid, dd and sleep, into a store below `base`."""
    tree = base / "tree"
    tree.mkdir()
    build_rootfs(tree)
    for name in ("yes", "setsid", "dd", "sleep"):
        copy_program(Path("/usr/bin") / name, tree, tree / "bin" / name)
    return Store.open(base / "store").import_rootfs(tree, "small")

"""`fsck` of hydrated trees whose paths are as long as an image's can be, which no system call takes with the store's
own path before them."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rootlay.store.check.finding import Outcome, quarantined
from rootlay.store.check.run import check_store
from rootlay.store.hydrate.tree import HydratedTree, split_path
from rootlay.store.store import ImageStore, open_lower

DIRECTORY = b"/".join([b"n" * 200] * 19)
LONG = DIRECTORY + b"/" + b"f" * 189  # 4,009 bytes


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    """A store whose image has one such path, hydrated, and a short one."""
    with tarfile.open(tmp_path / "long.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        for name in (LONG, DIRECTORY + b"/l", b"short"):
            entry = tarfile.TarInfo(name.decode())
            entry.size = 3
            if name.endswith(b"/l"):
                entry.type, entry.linkname, entry.size = tarfile.SYMTYPE, "target", 0
            tar.addfile(entry, io.BytesIO(b"abc"[: entry.size]))
    store = ImageStore.open(tmp_path / "store")
    store.import_rootfs(tmp_path / "long.tar", "long")
    view, hydrator = open_lower(store.root, str(store.image("long").chain_id)) if _made(store) else (None, None)
    assert view is not None
    assert hydrator is not None
    hydrator.hydrate_all()
    hydrator.close()
    view.close()
    return store


def _made(store: ImageStore) -> bool:
    from rootlay.vfs.containers.ensureview import ensure_view

    return bool(ensure_view(store, store.image("long")))


def check(store: ImageStore, *, deep: bool = True, repair: bool = False) -> list[Outcome]:
    return list(check_store(store.root, deep=deep, repair=repair))


def in_directory(store: ImageStore, work: Callable[[int], None]) -> None:
    [tree] = (store.root / "layers").glob("*/tree")
    fd = HydratedTree(tree).open_directory(split_path(DIRECTORY))
    try:
        work(fd)
    finally:
        os.close(fd)


def test_a_long_path_is_no_finding(store: ImageStore) -> None:
    assert check(store) == []


def cut(fd: int) -> None:
    name = "f" * 189
    os.chmod(name, 0o600, dir_fd=fd)
    file = os.open(name, os.O_WRONLY | os.O_TRUNC, dir_fd=fd)
    os.write(file, b"x")
    os.close(file)


def change(fd: int) -> None:
    name = "f" * 189
    mode = stat.S_IMODE(os.stat(name, dir_fd=fd).st_mode)
    os.chmod(name, 0o600, dir_fd=fd)
    file = os.open(name, os.O_WRONLY, dir_fd=fd)
    os.write(file, b"xyz")
    os.close(file)
    os.chmod(name, mode, dir_fd=fd)


def open_mode(fd: int) -> None:
    os.chmod("f" * 189, 0o777, dir_fd=fd)


def other_kind(fd: int) -> None:
    os.unlink("f" * 189, dir_fd=fd)
    os.mkdir("f" * 189, dir_fd=fd)


def stray(fd: int) -> None:
    os.mkdir("s" * 200, dir_fd=fd)
    below = os.open("s" * 200, os.O_RDONLY, dir_fd=fd)
    os.mkdir("t" * 200, dir_fd=below)
    os.close(below)


def other_link(fd: int) -> None:
    os.unlink("l", dir_fd=fd)
    os.symlink("elsewhere", "l", dir_fd=fd)


DAMAGE = {
    "cut": (cut, "tree-damaged", "rebuilt"),
    "another content": (change, "tree-damaged", "rebuilt"),
    "another mode": (open_mode, "tree-damaged", "rebuilt"),
    "another kind": (other_kind, "tree-damaged", "quarantined"),
    "another link": (other_link, "tree-damaged", "quarantined"),
    "something unknown": (stray, "tree-unknown", "quarantined"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_there_is_one_finding_and_repaired(store: ImageStore, name: str) -> None:
    damage, code, status = DAMAGE[name]
    in_directory(store, damage)
    assert [outcome.finding.code for outcome in check(store)] == [code]
    assert [(outcome.finding.code, outcome.status) for outcome in check(store, repair=True)] == [(code, status)]
    assert check(store) == []
    assert bool(quarantined(store.root)) == (status == "quarantined")

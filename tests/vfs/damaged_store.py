"""A store that has everything that `fsck` checks, to be damaged by tests."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rootlay.store.bundle.writer import write_bundle
from rootlay.store.check.finding import Outcome
from rootlay.store.check.run import check_store
from rootlay.store.layer.writer import WrittenLayer
from rootlay.store.model.digest import Digest
from rootlay.store.store import ImageStore
from rootlay.vfs.api.store import Store
from rootlay.vfs.build.cache.cache import CachedLayer, StepCache
from rootlay.vfs.build.cache.check import check_build_cache
from rootlay.vfs.build.copy.digestfile import MAGIC
from rootlay.vfs.containers.check import check_uppers
from tests.support.archives.make import LayoutBuilder, make_tar

BASE = make_tar(
    [("etc/motd", "f", "welcome"), ("etc/link", "l", "motd"), ("bin/tool", "f", "x" * 5000), ("d/f", "f", "f")]
)
TOP = make_tar([("etc/.wh.link", "f", ""), ("etc/new", "f", "new"), ("bin/hard", "h", "bin/tool")])
KEY = "ab" * 32  # of a step in the build cache


@pytest.fixture(scope="session")
def store_to_damage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with an image of two gzip layers, a bundle, and a container that has everything an upper can have."""
    base = tmp_path_factory.mktemp("check")
    layout = LayoutBuilder()
    layout.name(layout.manifest([BASE, TOP], [gzip.compress(tar, mtime=0) for tar in (BASE, TOP)]), "app")
    root = base / "store"
    store = Store.open(root)
    image = store.load(layout.write(base / "layout"))
    write_bundle(ImageStore.open(root), ImageStore.open(root).image("app"), base / "app.rlay")
    with contextlib.closing(image.container("c")) as c:
        c.fs.writetext("/etc/motd", "changed")
        c.overlay.chown("/etc/motd", 7, 7)
        c.overlay.unlink("/d/f")
        c.overlay.rmdir("/d")
        c.overlay.mkdir("/d")
        c.snapshot("s")
        c.overlay.rename("/bin", "/sbin")
        assert c.fs.readtext("/etc/motd") == "changed"
        assert c.fs.readtext("/sbin/tool") == "x" * 5000
        for path in ("/etc/new", "/sbin/tool", "/sbin/hard"):
            c.overlay.real_path(path)
    with contextlib.closing(Store.open(root).overlay(name="b", base=str(base / "app.rlay"))):
        pass
    found = ImageStore.open(root)
    layer = WrittenLayer(found.image("app").diff_ids[0], found.image("app").manifest.layers[0])
    StepCache(found).add(KEY, CachedLayer(layer, "2026-01-01T00:00:00Z", "RUN true"))
    (root / "build" / "digests").write_bytes(MAGIC)
    return base


@dataclass
class Damaged:
    """A copy of the template, to be damaged."""

    base: Path
    root: Path = field(init=False)

    def __post_init__(self) -> None:
        self.root = self.base / "store"

    def check(self, *, deep: bool = False, repair: bool = False) -> list[Outcome]:
        return list(check_store(self.root, deep=deep, repair=repair, more=(check_uppers, check_build_cache)))

    def container(self, name: str = "c") -> Path:
        return (self.root / "containers" / "names" / name).resolve()

    def layers(self) -> list[Digest]:
        return list(ImageStore.open(self.root).image("app").diff_ids)

    def layer(self, number: int = 0) -> Path:
        return self.root / "layers" / self.layers()[number].hex

    def blob(self, what: str) -> Path:
        store = ImageStore.open(self.root)
        image = store.image("app")
        digest = {
            "manifest": image.manifest_digest,
            "config": image.id,
            "layer": image.manifest.layers[0].digest,
        }[what]
        return store.layout.blob_path(digest)

    def view(self, suffix: str) -> Path:
        return self.root / "views" / f"{ImageStore.open(self.root).image('app').chain_id.hex}{suffix}"

    def frozen(self) -> Path:
        return self.container() / "upper"

    def upper(self) -> Path:
        return self.container() / str(json.loads((self.container() / "stack.json").read_bytes())["upper"])

    def content(self) -> str:
        with contextlib.closing(Store.open(self.root).container("c")) as c:
            return c.fs.readtext("/etc/motd") + c.fs.readtext("/etc/new") + c.fs.readtext("/sbin/tool")


@pytest.fixture
def damaged(store_to_damage: Path, tmp_path: Path) -> Iterator[Damaged]:
    shutil.copytree(store_to_damage, tmp_path / "copy", symlinks=True)
    found = Damaged(tmp_path / "copy")
    link = next((found.root / "views").glob("*.bundle"))
    link.unlink()
    link.symlink_to(found.base / "app.rlay")
    yield found
    for path in (found.base).rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)


def flip(path: Path, at: int) -> None:
    """Change a byte, whatever the file's mode."""
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)

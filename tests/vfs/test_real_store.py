"""The overlay on a real store: layers, view and hydrator as an image has them."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rootlay.store.view.merge", reason="the C extension rootlay.store.view.merge is not built")

from rootlay.store.hydrate.hydrator import Hydrator
from rootlay.store.layer.writer import LayerWriter
from rootlay.store.model.digest import Digest
from rootlay.store.store import ImageStore
from rootlay.store.view.build import build_view, view_path
from rootlay.store.view.view import View
from rootlay.vfs.changes.diff import LayerItem, iter_layer
from rootlay.vfs.merge.bloom import Bloom
from rootlay.vfs.merge.stack import DirLayer, Ownership, Stack
from rootlay.vfs.overlay.overlay import Overlay
from tests.support.oracles.memory_view import LayerEntry, directory, file, hardlink, symlink
from tests.support.oracles.oracle import attributes_of, shape_of_overlay

LAYER: list[LayerEntry] = [
    directory(b"", 0o755, mtime_ns=10**18),
    directory(b"d", 0o750, uid=3, gid=4, mtime_ns=10**18 + 7),
    file(b"d/f", b"content", 0o4755, uid=5, gid=6, mtime_ns=10**18),
    file(b"d/g", b"g" * 300_000),
    hardlink(b"d/h", b"d/g"),
    directory(b"d/sub"),
    file(b"d/sub/x", b"x"),
    symlink(b"l", b"d/f"),
    directory(b"other"),
    file(b"other/\xff", b"not UTF-8"),
]


class RealImage:
    """A store, and overlays over stacks of its layers."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.store = ImageStore.open(base / "store")
        self.open: list[Overlay | View | Hydrator] = []

    def add(self, layer: Iterator[LayerItem]) -> Digest:
        with LayerWriter(self.store.layout) as writer:
            for path, entry, content in layer:
                writer.add(path, entry, content)
            return writer.finish().diff_id

    def overlay(self, *diff_ids: Digest) -> Overlay:
        chain = build_view(self.store, diff_ids)
        view = View.open(view_path(self.store.root, chain))
        hydrator = Hydrator(self.store, view)
        upper = self.base / f"upper{len(self.open)}"
        upper.mkdir()
        Bloom.create(upper.with_suffix(".bloom")).close()
        layer = DirLayer.at(upper, writable=True, bloom=upper.with_suffix(".bloom"))
        owner = Ownership(os.geteuid(), os.getegid())
        overlay = Overlay(Stack((layer,), view, hydrator, owner, upper.with_suffix(".lock")))
        overlay.adopt_root()
        self.open += [overlay, hydrator, view]
        return overlay


@pytest.fixture
def image(tmp_path: Path) -> Iterator[RealImage]:
    made = RealImage(tmp_path)
    yield made
    for opened in made.open:
        opened.close()


def with_streams(layer: list[LayerEntry]) -> Iterator[LayerItem]:
    """A layer as `LayerWriter` takes it."""
    for path, entry, content in layer:
        yield path, entry, io.BytesIO(content) if content is not None else None


def change(overlay: Overlay) -> None:
    overlay.rename("/d", "/moved")
    overlay.chown("/moved/f", 1000, 1000)
    overlay.unlink("/moved/sub/x")
    overlay.setxattr("/moved/sub", b"trusted.x", b"y")
    overlay.mknod("/null", 0o020666, (1, 3))
    descriptor = overlay.open("/moved/new", os.O_CREAT | os.O_WRONLY, 0o600)
    os.write(descriptor, b"new" * 100_000)
    os.close(descriptor)
    overlay.truncate("/moved/new", 8 << 20)
    overlay.link("/moved/new", "/link")
    overlay.chown("/link", 3, 4)
    overlay.chmod("/moved/new", 0o4755)
    overlay.unlink(b"/other/\xff")
    overlay.rmdir("/other")
    overlay.mkdir("/other")


def test_commit_gives_the_same_tree(image: RealImage) -> None:
    base = image.add(with_streams(LAYER))
    overlay = image.overlay(base)
    change(overlay)
    before = attributes_of(overlay), shape_of_overlay(overlay)
    layer = image.add(iter_layer(overlay))
    committed = image.overlay(base, layer)
    assert (attributes_of(committed), shape_of_overlay(committed)) == before


def test_commit_is_deterministic(image: RealImage) -> None:
    overlay = image.overlay(image.add(with_streams(LAYER)))
    change(overlay)
    assert image.add(iter_layer(overlay)) == image.add(iter_layer(overlay))


def test_opening_hydrates_one_file(image: RealImage) -> None:
    overlay = image.overlay(image.add(with_streams(LAYER)))
    with overlay.open_content("/d/f") as stream:
        assert stream.read() == b"content"
    trees = [path for path in image.store.root.rglob("tree/**/*") if path.is_file()]
    assert trees == []
    descriptor = overlay.open("/d/f")
    assert os.read(descriptor, 100) == b"content"
    os.close(descriptor)
    trees = [path for path in image.store.root.rglob("tree/**/*") if path.is_file()]
    assert [path.name for path in trees] == ["f"]


def test_copy_up_does_not_hydrate(image: RealImage) -> None:
    overlay = image.overlay(image.add(with_streams(LAYER)))
    overlay.chmod("/d/g", 0o600)
    assert [path for path in image.store.root.rglob("tree/**/*") if path.is_file()] == []
    with overlay.open_content("/d/g") as stream:
        assert stream.read() == b"g" * 300_000


def test_damaged_image_is_an_io_error(image: RealImage) -> None:
    overlay = image.overlay(image.add(with_streams(LAYER)))
    blob = max((image.store.root / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(blob.read_bytes())
    data[20:60] = bytes(40)
    blob.chmod(0o600)
    blob.write_bytes(data)
    with pytest.raises(OSError, match=r".") as caught:
        overlay.chmod("/d/g", 0o600)
    assert caught.value.filename == "/d/g"

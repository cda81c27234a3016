"""What a power failure may leave of hydrated files and filters is mended by the next start, without `fsck`."""

from __future__ import annotations

import contextlib
import gzip
import os
import random
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rootlay.store.bundle.writer import write_bundle
from rootlay.store.containers.bloom import HEADER_BYTES, boot_of
from rootlay.store.disk import bootid
from rootlay.store.hydrate.repair import repair_trees
from rootlay.store.store import ImageStore
from rootlay.store.view.build import view_path
from rootlay.store.view.native import NativeView
from rootlay.vfs import Image, Store
from rootlay.vfs.merge.bloom import Bloom
from rootlay.vfs.merge.upperkeys import iter_upper_keys
from rootlay.vfs.overlay.bloomrepair import repair_bloom
from rootlay.vfs.overlay.containerstack import open_overlay
from rootlay.vfs.run.session import engine_path
from tests.support.archives.make import LayoutBuilder, make_tar

BASE = make_tar([
    ("etc/motd", "f", "welcome"), ("etc/link", "l", "motd"), ("bin/tool", "f", "x" * 5000), ("d/e/f", "f", "f"),
    ("empty", "f", ""), ("hidden", "f", "below"), ("first", "f", "content"), ("second", "h", "first"),
])  # fmt: skip
TOP = make_tar([("hidden", "f", "above"), (".wh.first", "f", ""), ("bin/hard", "h", "bin/tool")])


@pytest.fixture
def another_start(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it, and the machine has been started anew."""
    return lambda: monkeypatch.setattr(bootid, "_known", os.urandom(bootid.ID_BYTES))


@pytest.fixture
def layered(store: Store, tmp_path: Path) -> tuple[Store, Image]:
    layout = LayoutBuilder()
    layout.name(layout.manifest([BASE, TOP], [gzip.compress(tar, mtime=0) for tar in (BASE, TOP)]), "app")
    return store, store.load(layout.write(tmp_path / "layout"))


def cut(path: Path, size: int) -> None:
    mode = path.stat().st_mode
    path.chmod(0o600)
    os.truncate(path, size)
    path.chmod(stat.S_IMODE(mode))


def hydrated(root: Path) -> Iterator[Path]:
    for directory, _, names in os.walk(root / "layers"):
        paths = [Path(directory, name) for name in sorted(names)]
        yield from (path for path in paths if "tree" in path.parts and path.is_file() and not path.is_symlink())


@contextlib.contextmanager
def natively(root: Path) -> Iterator[tuple[NativeView, list[Path]]]:
    image = ImageStore.open(root).image("app")
    native = NativeView.open(view_path(root, image.chain_id).with_suffix(".view"))
    yield native, [root / "layers" / diff_id.hex / "tree" for diff_id in image.diff_ids]
    native.close()


def test_what_was_cut_is_removed_and_nothing_else(layered: tuple[Store, Image]) -> None:
    from rootlay.store.store import open_lower

    store, image = layered
    chance = random.Random(7)
    with image.container() as c:
        assert c.fs.readtext("/second") == "content"
    view, hydrator = open_lower(store.root, str(ImageStore.open(store.root).image("app").chain_id))
    with contextlib.closing(view), contextlib.closing(hydrator), natively(store.root) as (native, trees):
        for _ in range(20):
            hydrator.hydrate_all()
            content = {path: path.read_bytes() for path in hydrated(store.root)}
            assert {path.name for path in content} >= {"motd", "tool", "f", "empty", "hidden", "first"}
            assert repair_trees(native, trees) == 0
            chosen = [path for path, data in content.items() if data and chance.random() < 0.5]
            for path in chosen:
                cut(path, chance.randrange(len(content[path])))
            assert repair_trees(native, trees) == len(chosen)
            assert set(hydrated(store.root)) == set(content) - set(chosen)
            hydrator.hydrate_all()
            assert {path: path.read_bytes() for path in hydrated(store.root)} == content


def test_a_tree_that_is_not_there_is_passed_over(layered: tuple[Store, Image]) -> None:
    store, image = layered
    with image.container() as c:
        assert c.fs.readtext("/hidden") == "above"
    with natively(store.root) as (native, trees):
        for tree in trees:
            shutil.rmtree(tree, ignore_errors=True)
        assert repair_trees(native, trees) == 0


@pytest.mark.parametrize("bundled", [False, True])
def test_a_program_reads_whole_files_after_a_power_failure(
    store: Store, image: Image, tmp_path: Path, another_start: Callable[[], None], bundled: bool
) -> None:
    assert engine_path()
    if bundled:
        images = ImageStore.open(store.root)
        write_bundle(images, images.image("small"), tmp_path / "small.rlay")
        shutil.rmtree(store.root)
        store = Store.open(store.root)
    for _ in range(2):
        made = store.overlay(base=str(tmp_path / "small.rlay")) if bundled else store.image("small").container()
        with made as c:
            assert c.run(["cat", "/etc/motd"], capture_output=True, check=True).stdout == b"welcome\n"
        found = [path for path in hydrated(store.root) if path.stat().st_size]
        assert {path.name for path in found} >= {"cat", "motd"}
        for path in found:
            cut(path, 0)
        another_start()


def damaged_filters(container: Path, damage: str) -> list[Path]:
    """Do this damage to the filters of both uppers, and return them."""
    blooms = [container / name for name in os.listdir(container) if name.startswith("bloom")]
    assert len(blooms) == 2
    for bloom in blooms:
        if damage == "removed":
            bloom.unlink()
        elif damage == "cut":
            os.truncate(bloom, 0)
        elif damage == "emptied":
            with bloom.open("r+b") as file:
                file.seek(HEADER_BYTES)
                file.write(bytes(bloom.stat().st_size - HEADER_BYTES))
    return blooms


@pytest.mark.parametrize("damage", ["emptied", "cut", "removed"])
def test_a_program_sees_what_a_filter_has_lost(
    store: Store, image: Image, another_start: Callable[[], None], damage: str
) -> None:
    with image.container("k") as c:
        c.fs.writetext("/mine", "mine")
        c.overlay.unlink("/etc/motd")
        c.snapshot("s")
        c.fs.writetext("/etc/later", "later")
        c.overlay.chown("/etc/group", 7, 7)
        record = c.record
    blooms = damaged_filters(record.path, damage)
    another_start()
    command = "cat /mine /etc/later; test -e /etc/motd || echo gone; stat -c %u /etc/group"
    with contextlib.closing(store.container("k")) as c:
        shown = c.run(["sh", "-c", command], capture_output=True, check=True, text=True).stdout
    assert shown == "minelatergone\n7\n"
    assert {boot_of(bloom) for bloom in blooms} == {(bootid.boot_id(), True)}


@pytest.mark.parametrize("damage", ["none", "cut", "removed"])
def test_python_looks_first(store: Store, image: Image, another_start: Callable[[], None], damage: str) -> None:
    """It repairs the filters and makes lost whiteouts again, as a session does."""
    with image.container("k") as c:
        c.fs.writetext("/below", "below")
        c.snapshot("s")
        c.run(["sh", "-c", "rm /etc/motd; echo mine > /mine"], check=True)
        record, upper = c.record, c.record.upper
    shutil.rmtree(upper / "etc")  # the map says that the whiteout in it was written through
    blooms = damaged_filters(record.path, damage)
    another_start()
    with contextlib.closing(store.container("k")) as c:
        assert not c.fs.exists("/etc/motd")
        assert c.fs.readtext("/mine") == "mine\n"
        assert c.fs.readtext("/below") == "below"
        assert "D /etc/motd" in [str(change) for change in c.diff()]
    assert {boot_of(bloom) for bloom in blooms} == {(bootid.boot_id(), True)}


def test_a_snapshot_after_a_power_failure_has_the_removals(
    store: Store, image: Image, another_start: Callable[[], None]
) -> None:
    with image.container("k") as c:
        c.run(["rm", "/etc/motd"], check=True)
        (c.record.upper / "etc/.wh.motd").unlink()
        another_start()
        c.snapshot("s")
        assert (c.record.path / "upper/etc/.wh.motd").exists()


@pytest.mark.parametrize("machine", ["", "another"])
def test_what_another_machine_uses_is_left_alone(
    image: Image, another_start: Callable[[], None], monkeypatch: pytest.MonkeyPatch, machine: str
) -> None:
    with image.container("k") as c:
        c.fs.writetext("/mine", "mine")
        record, bloom = c.record, c.record.path / "bloom"
    before = boot_of(bloom)
    another_start()
    monkeypatch.setattr(type(record.state()), "elsewhere", machine)
    with open_overlay(record) as overlay:
        assert overlay.find("/mine")
    assert (boot_of(bloom) == before) == bool(machine)


def test_a_mended_filter_has_every_key(store: Store, image: Image) -> None:
    with image.container("k") as c:
        c.fs.writetext("/a", "a")
        c.overlay.rename("/usr/share/doc", "/docs")
        c.overlay.rmdir("/var/empty")
        c.overlay.mkdir("/var/empty")
        c.overlay.unlink("/etc/motd")
        c.overlay.chown("/etc/passwd", 5, 5)
        c.fs.writetext("/" + "n" * 255, "long")
        c.overlay.unlink("/" + "n" * 255)
        upper, path = c.record.upper, c.record.bloom_of(c.record.stack())
    with Bloom(path) as bloom:
        keys = list(iter_upper_keys(os.fsencode(upper)))
        assert all(bloom.may_have(*key) for key in keys)
        assert len(keys) > 10
        bloom.map[HEADER_BYTES:] = bytes(len(bloom.map) - HEADER_BYTES)
    repair_bloom(upper, path, b"\1" * bootid.ID_BYTES)
    assert boot_of(path) == (b"\1" * bootid.ID_BYTES, True)
    with Bloom(path) as bloom:
        assert all(bloom.may_have(*key) for key in keys)
        assert not bloom.may_have(b"/no/such/thing")


def test_starts_are_noted_beside_each_other_and_never_too_many(tmp_path: Path) -> None:
    mark = str(tmp_path / "mark")
    starts = [os.urandom(bootid.ID_BYTES) for _ in range(200)]
    assert not bootid.is_checked(mark, starts[0])
    for number, start in enumerate(starts):
        bootid.mark_checked(mark, start)
        assert bootid.is_checked(mark, start)
        if number == 10:
            assert all(bootid.is_checked(mark, other) for other in starts[:11])
    assert Path(mark).stat().st_size <= 2048
    bootid.mark_checked(str(tmp_path / "missing" / "mark"), starts[0])  # cannot be written: looked at again


def test_the_machine_tells_its_start() -> None:
    assert len(bootid.boot_id()) == bootid.ID_BYTES
    assert bootid.boot_id() == bootid.boot_id()

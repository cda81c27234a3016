"""Building, opening and reading views as files."""

from __future__ import annotations

import multiprocessing
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rootlay.store.layer.tree import LayerTree
from rootlay.store.model.digest import Digest, chain_id
from rootlay.store.model.entry import Entry, EntryType, entry_key
from rootlay.store.model.errors import CorruptStore, DiskFull, StoreNotWritable
from rootlay.store.view.build import BrokenHardLink, build_view, view_path
from rootlay.store.view.merge import key_hash as key_hash_in_c
from rootlay.store.view.native import NativeView, key_hash
from rootlay.store.view.view import View

D, F, H = EntryType.DIRECTORY, EntryType.FILE, EntryType.HARDLINK


class MemoryLayer(LayerTree):
    """A layer in memory that counts how often it is read."""

    reads = 0

    def iter_raw(self) -> Iterator[tuple[bytes, bytes]]:
        self.reads += 1
        return self.iter_sorted()

    def close(self) -> None:
        """Nothing to give up."""


class MemoryStore:
    """Layers by number; only the views are real."""

    def __init__(self, root: Path, layers: int) -> None:
        self.root = root
        self.layers = [MemoryLayer() for _ in range(layers)]
        self.diff_ids = [Digest.of(b"%d" % number) for number in range(layers)]

    def layer(self, diff_id: Digest) -> MemoryLayer:
        return self.layers[self.diff_ids.index(diff_id)]


@pytest.fixture
def store(tmp_path: Path) -> MemoryStore:
    made = MemoryStore(tmp_path, 2)
    made.layers[0].add(b"etc", Entry(D, mode=0o755))
    made.layers[0].add(b"etc/motd", Entry(F, size=5, offset=512, mode=0o644, mtime_ns=-5))
    made.layers[0].add(b"etc/\xff", Entry(F))
    made.layers[1].add(b"etc/.wh.motd", Entry(F))
    made.layers[1].add(b"etc/a", Entry(F, xattrs=((b"user.k", b"v"),)))
    return made


def open_view(store: MemoryStore) -> View:
    return View.open(view_path(store.root, build_view(store, store.diff_ids)))


def test_view_describes_itself(store: MemoryStore) -> None:
    view = open_view(store)
    assert view.chain_id == chain_id(store.diff_ids)
    assert view.layers == tuple(store.diff_ids)
    assert view.entries == 4
    assert (view.root.id, view.root.type) == (1, D)
    view.close()
    native = NativeView.open(view.native_path)
    assert (native.chain_id, native.entries, native.header.layers) == (view.chain_id, 4, 2)
    native.close()


def test_children_are_sorted_and_absent_names_are_none(store: MemoryStore) -> None:
    view = open_view(store)
    etc = view.find(1, b"etc")
    assert etc is not None
    assert [name for name, _ in view.iter_children(etc.id)] == [b"a", b"\xff"]
    assert [path for path, _ in view.iter_walk()] == [b"/", b"/etc", b"/etc/a", b"/etc/\xff"]
    assert view.find(etc.id, b"motd") is None
    assert view.find(99, b"etc") is None
    found = view.find_path(b"/etc/a")
    assert found is not None
    assert (found.xattrs, found.layer) == (((b"user.k", b"v"),), 1)
    view.close()


def test_building_again_reads_nothing(store: MemoryStore) -> None:
    first = build_view(store, store.diff_ids)
    status = os.stat(view_path(store.root, first))
    assert build_view(store, store.diff_ids) == first
    assert [layer.reads for layer in store.layers] == [1, 1]
    assert os.stat(view_path(store.root, first)).st_ino == status.st_ino
    assert list((store.root / "tmp").iterdir()) == list((store.root / "locks").iterdir()) == []


@pytest.mark.parametrize("damage", ["no native", "no lmdb", "cut off", "other chain"])
def test_incomplete_view_is_built_again(store: MemoryStore, damage: str) -> None:
    path = view_path(store.root, build_view(store, store.diff_ids))
    native = path.with_suffix(".view")
    whole = native.read_bytes()
    if damage == "no lmdb":
        path.unlink()
    else:
        native.unlink()
    if damage == "cut off":
        native.write_bytes(whole[:-1])
    elif damage == "other chain":
        native.write_bytes(whole[:72] + bytes(32) + whole[104:])
    build_view(store, store.diff_ids)
    assert native.read_bytes() == whole
    assert path.exists()


def test_builders_of_one_view_build_it_once(store: MemoryStore) -> None:
    threads = [threading.Thread(target=build_view, args=(store, store.diff_ids)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [layer.reads for layer in store.layers] == [1, 1]


def test_broken_hard_link_is_the_images_fault(store: MemoryStore) -> None:
    store.layers[1].add(b"x/y", Entry(H, link=b"gone/\xff"))
    with pytest.raises(BrokenHardLink, match=r"hard link /x/y: gone/\\xff is in no layer") as caught:
        build_view(store, store.diff_ids)
    assert caught.value.fault == "image"
    assert (caught.value.diff_id, caught.value.path, caught.value.target) == (store.diff_ids[1], b"/x/y", b"gone/\xff")
    assert list((store.root / "views").iterdir()) == []


def test_damaged_layer_index_is_named(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store.layers[1], "iter_raw", lambda: iter([(entry_key(0, b""), b"junk")]))
    with pytest.raises(CorruptStore, match=f"index of layer {store.diff_ids[1]}: layer 1, record 0"):
        build_view(store, store.diff_ids)


def test_unwritable_store_is_the_disks_fault(store: MemoryStore) -> None:
    (store.root / "views").write_bytes(b"")
    with pytest.raises(OSError, match="Not a directory"):
        build_view(store, store.diff_ids)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_store_without_write_permission_is_typed_and_still_readable(store: MemoryStore) -> None:
    built = build_view(store, store.diff_ids)
    directories = [store.root / name for name in ("views", "tmp", "locks", ".")]
    for directory in directories:
        directory.chmod(0o500)
    try:
        assert build_view(store, store.diff_ids) == built
        with pytest.raises(StoreNotWritable):
            build_view(store, store.diff_ids[:1])
    finally:
        for directory in directories:
            directory.chmod(0o700)


def test_full_disk_is_typed_and_leaves_nothing(store: MemoryStore) -> None:
    for number in range(1000):
        store.layers[0].add(b"file-%d" % number, Entry(F))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, before[1]))
    try:
        with pytest.raises(DiskFull):
            build_view(store, store.diff_ids)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [p for name in ("views", "tmp", "locks") for p in (store.root / name).iterdir()] == []
    build_view(store, store.diff_ids)


def test_records_of_the_most_wasteful_size_fit(store: MemoryStore) -> None:
    value = b"v" * (1775 - 64 - 8 - 6 - len(b"user.x"))
    for number in range(6000):
        store.layers[0].add(b"%0255d" % number, Entry(F, xattrs=((b"user.x", value),)))
    view = open_view(store)
    assert view.entries == 6004
    view.close()


def _count_in_child(view: View, result: multiprocessing.connection.Connection) -> None:
    result.send([path for path, _ in view.iter_walk()])


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_view_is_good_in_threads_and_after_a_fork(store: MemoryStore) -> None:
    view, other = open_view(store), open_view(store)
    expected = [path for path, _ in view.iter_walk()]
    seen: list[list[bytes]] = []
    thread = threading.Thread(target=lambda: seen.append([path for path, _ in view.iter_walk()]))
    thread.start()
    thread.join()
    other.close()
    receive, send = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_count_in_child, args=(view, send))
    child.start()
    seen.append(receive.recv())
    child.join()
    receive.close()
    send.close()
    assert child.exitcode == 0
    assert seen == [expected, expected]
    view.close()


@pytest.mark.parametrize(
    ("at", "data", "reason"),
    [
        (0, b"X", "version 1"),
        (8, b"\2", "version 1"),
        (24, b"\xff\xff\xff\xff", "table"),
        (28, b"\3", "table sizes"),
        (32, b"\xff" * 8, "table"),
        (56, b"\xff" * 8, "table"),
        (16, b"\0" * 8, "table"),
    ],
)
def test_damaged_header_is_refused(store: MemoryStore, at: int, data: bytes, reason: str) -> None:
    path = view_path(store.root, build_view(store, store.diff_ids)).with_suffix(".view")
    whole = bytearray(path.read_bytes())
    whole[at : at + len(data)] = data
    path.write_bytes(whole)
    with pytest.raises(CorruptStore, match=reason):
        NativeView.open(path)
    path.write_bytes(b"RLVIEW1\n")
    with pytest.raises(CorruptStore, match="shorter"):
        NativeView.open(path)


def test_damaged_hash_table_is_noticed(store: MemoryStore) -> None:
    path = view_path(store.root, build_view(store, store.diff_ids)).with_suffix(".view")
    whole = path.read_bytes()
    for entry_id in (1, 99):
        path.write_bytes(whole[:128] + entry_id.to_bytes(4, "little") * 16 + whole[128 + 64 :])
        native = NativeView.open(path)
        with pytest.raises(CorruptStore, match="hash table"):
            native.find(1, b"absent")
        native.close()


def test_damaged_description_is_refused(store: MemoryStore) -> None:
    path = view_path(store.root, build_view(store, store.diff_ids))
    path.write_bytes(bytes(4096))
    with pytest.raises(CorruptStore):
        View.open(path)


@given(parent=st.integers(0, 2**32 - 1), name=st.binary(max_size=300))
def test_hash_is_the_same_in_python_and_c(parent: int, name: bytes) -> None:
    assert key_hash(parent, name) == key_hash_in_c(parent, name)


def test_hash_of_the_format_does_not_change() -> None:
    assert key_hash(1, b"etc") == 0x034B6EE7CC4ABE57

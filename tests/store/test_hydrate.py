"""Hydration: what appears in a layer's tree, and what does not."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import resource
import signal
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from rootlay.store.digest import Digest
from rootlay.store.durable import sweep
from rootlay.store.entry import Entry, EntryType
from rootlay.store.errors import CorruptStore
from rootlay.store.hydrate import Hydrator
from rootlay.store.layertree import LayerTree
from rootlay.store.view import Node, View
from rootlay.store.viewbuild import build_view, view_path

D, F, L, P, C, H, W = (
    EntryType.DIRECTORY,
    EntryType.FILE,
    EntryType.SYMLINK,
    EntryType.FIFO,
    EntryType.CHAR_DEVICE,
    EntryType.HARDLINK,
    EntryType.WHITEOUT,
)
HOLE = 1 << 20


class MemoryLayer:
    """A layer in memory; content is found by its offset."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.content: dict[int, bytes] = {}
        self.damaged = False
        self.ready = False
        self.piece: bytes | None = None
        self._entries = LayerTree()
        self._by_path: dict[bytes, Entry] = {}

    def add(self, path: bytes, entry: Entry) -> None:
        self._entries.add(path, entry)
        self._by_path[path] = entry

    def add_file(self, path: bytes, content: bytes, mode: int = 0o644, mtime_ns: int = 0) -> None:
        offset = 512 * (len(self.content) + 1)
        self.content[offset] = content
        self.add(path, Entry(F, size=len(content), offset=offset, mode=mode, mtime_ns=mtime_ns))

    def iter_raw(self) -> Iterator[tuple[bytes, bytes]]:
        return self._entries.iter_sorted()

    def find_path(self, path: bytes) -> Entry | None:
        return self._by_path.get(path)

    def open_content(self, entry: Entry) -> BinaryIO:
        if self.damaged:
            raise CorruptStore("blob", "damaged")
        return io.BytesIO(self.content[entry.offset])

    def find_ready(self, entry: Entry) -> tuple[bytes, int] | None:
        return (self.piece, entry.offset) if self.ready and self.piece is not None else None

    def merge_content(self) -> None:
        """Put the content of all files into one piece, each where its offset says."""
        piece = bytearray(512 * (len(self.content) + 2))
        for offset, content in self.content.items():
            piece[offset : offset + len(content)] = content
        self.piece = bytes(piece)

    def close(self) -> None:
        """Nothing to give up."""


class MemoryStore:
    """A store of such layers, in a real directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.layers: list[MemoryLayer] = []

    def add_layer(self) -> MemoryLayer:
        directory = self.root / "layers" / Digest.of(b"%d" % len(self.layers)).hex
        directory.mkdir(parents=True)
        self.layers.append(MemoryLayer(directory / "tree"))
        return self.layers[-1]

    def layer(self, diff_id: Digest) -> MemoryLayer:
        return self.layers[self.diff_ids.index(diff_id)]

    @property
    def diff_ids(self) -> list[Digest]:
        return [Digest.of(b"%d" % number) for number in range(len(self.layers))]

    def view(self) -> View:
        return View.open(view_path(self.root, build_view(self, self.diff_ids)))


@pytest.fixture
def store(tmp_path: Path) -> MemoryStore:
    base = MemoryStore(tmp_path / "store")
    base.root.mkdir()
    layer = base.add_layer()
    layer.add(b"usr", Entry(D, mode=0o555))
    layer.add_file(b"usr/bin/tool", b"#!x\n" * 1000, mode=0o4711, mtime_ns=1_600_000_000_123_456_789)
    layer.add(b"usr/bin/same", Entry(H, link=b"usr/bin/tool"))
    layer.add(b"usr/link", Entry(L, link=b"/etc/passwd", mtime_ns=10**18))
    layer.add(b"dev/null", Entry(C, major=1, minor=3, mode=0o666))
    layer.add(b"pipe", Entry(P, mode=0))
    layer.add_file(b"\xff\xfe/" + b"n" * 255, b"raw name")
    layer.add_file(b"empty", b"")
    return base


@pytest.fixture
def view(store: MemoryStore) -> Iterator[View]:
    opened = store.view()
    yield opened
    opened.close()


@pytest.fixture
def hydrator(store: MemoryStore, view: View) -> Iterator[Hydrator]:
    with Hydrator(store, view) as opened:
        yield opened


def node_of(view: View, path: bytes) -> Node:
    found = view.find_path(path)
    assert found is not None
    return found


def tree_of(path: Path) -> dict[str, int]:
    """Every path below `path` and its type bits."""
    found = {}
    for directory, names, files in os.walk(path):
        for name in names + files:
            full = os.path.join(directory, name)
            found[os.path.relpath(full, path)] = stat.S_IFMT(os.lstat(full).st_mode)
    return found


def test_file_appears_whole_with_mode_and_time(store: MemoryStore, view: View, hydrator: Hydrator) -> None:
    node = node_of(view, b"/usr/bin/tool")
    assert not hydrator.real_path(node.id).exists()
    path = hydrator.hydrate(node.id)
    assert path == store.layers[0].tree / "usr/bin/tool" == hydrator.real_path(node.id)
    status = path.stat()
    assert path.read_bytes() == b"#!x\n" * 1000
    assert stat.S_IMODE(status.st_mode) == 0o711 | 0o400
    assert status.st_mtime_ns == 1_600_000_000_123_456_789
    assert stat.S_IMODE((store.layers[0].tree / "usr").stat().st_mode) == 0o755
    assert tree_of(store.layers[0].tree).keys() == {"usr", "usr/bin", "usr/bin/tool"}


def test_hydrating_again_keeps_the_file(view: View, hydrator: Hydrator) -> None:
    node = node_of(view, b"/usr/bin/tool")
    inode = hydrator.hydrate(node.id).stat().st_ino
    assert hydrator.hydrate(node.id).stat().st_ino == inode


def test_what_is_there_needs_no_layer(store: MemoryStore, view: View, hydrator: Hydrator) -> None:
    ids = [node.id for _, _, node in view.iter_nodes()]
    hydrator.hydrate_all()
    store.layers.clear()
    with Hydrator(store, view) as other:
        assert all(os.path.lexists(other.hydrate(entry_id)) for entry_id in ids)


def test_hard_link_is_hydrated_under_its_first_name(view: View, hydrator: Hydrator) -> None:
    link = node_of(view, b"/usr/bin/same")
    assert hydrator.hydrate(link.id) == hydrator.real_path(node_of(view, b"/usr/bin/tool").id)


def test_lower_hard_link_is_hydrated_in_the_lower_layer(store: MemoryStore) -> None:
    store.add_layer().add(b"top", Entry(H, link=b"usr/bin/tool"))
    store.layers[1].add(b"usr/bin/tool", Entry(F))  # replaces the first name
    store.layers[1].add(b".wh.empty", Entry(F))
    view = store.view()
    with Hydrator(store, view) as hydrator:
        assert hydrator.hydrate(node_of(view, b"/top").id) == store.layers[0].tree / "usr/bin/tool"
        assert hydrator.hydrate(node_of(view, b"/usr/bin/tool").id) == store.layers[1].tree / "usr/bin/tool"
        assert view.find_path(b"/empty") is None
    view.close()


def test_devices_and_fifos_are_empty_regular_files(view: View, hydrator: Hydrator) -> None:
    for path in (b"/dev/null", b"/pipe", b"/empty"):
        status = hydrator.hydrate(node_of(view, path).id).lstat()
        assert (stat.S_ISREG(status.st_mode), status.st_size) == (True, 0)


def test_names_that_are_not_utf8(view: View, hydrator: Hydrator) -> None:
    path = hydrator.hydrate(node_of(view, b"/\xff\xfe/" + b"n" * 255).id)
    assert os.fsencode(path).endswith(b"/\xff\xfe/" + b"n" * 255)
    assert path.read_bytes() == b"raw name"


def test_directory_is_made_and_symbolic_link_is_one(store: MemoryStore, view: View, hydrator: Hydrator) -> None:
    assert hydrator.hydrate(node_of(view, b"/usr/bin").id).is_dir()
    assert hydrator.hydrate(1) == store.layers[0].tree
    link = hydrator.hydrate(node_of(view, b"/usr/link").id)
    assert (os.readlink(link), link.lstat().st_mtime_ns) == ("/etc/passwd", 10**18)
    assert hydrator.hydrate(node_of(view, b"/usr/link").id) == link


def test_sparse_file_gets_its_holes(store: MemoryStore) -> None:
    layer = store.layers[0]
    layer.content[99] = b"x" * 4096 + bytes(HOLE) + b"y" * 4096
    runs = ((0, 4096), (HOLE + 4096, 4096))
    layer.add(b"sparse", Entry(F, size=HOLE + 8192, offset=99, sparse=runs))
    view = store.view()
    with Hydrator(store, view) as hydrator:
        path = hydrator.hydrate(node_of(view, b"/sparse").id)
    assert path.read_bytes() == layer.content[99]
    assert path.stat().st_blocks * 512 < HOLE
    view.close()


def test_hydrate_all_makes_everything_once(store: MemoryStore, view: View, hydrator: Hydrator) -> None:
    objects, content_bytes = hydrator.hydrate_all()
    # /usr/bin/same is a second name; the root is the tree itself.
    assert objects - 1 == len(tree_of(store.layers[0].tree)) == view.entries - 2
    assert content_bytes == 4000 + len(b"raw name")


def test_open_reads_with_and_without_the_real_file(view: View, hydrator: Hydrator) -> None:
    node = node_of(view, b"/usr/bin/same")
    with hydrator.open(node) as stream:
        stream.seek(4)
        assert stream.read(4) == b"#!x\n"
    assert not hydrator.real_path(node.id).exists()
    hydrator.hydrate(node.id).write_bytes(b"z" * 4000)
    with hydrator.open(node) as stream:
        assert stream.read(4) == b"zzzz"
    for path, code in ((b"/usr", errno.EISDIR), (b"/pipe", errno.EINVAL)):
        with pytest.raises(OSError, match=r"\w") as caught:
            hydrator.open(node_of(view, path))
        assert caught.value.errno == code


@pytest.mark.parametrize("entry_id", [0, -1, 10_000, 2**32])
def test_unknown_id_is_einval(hydrator: Hydrator, entry_id: int) -> None:
    for call in (hydrator.hydrate, hydrator.real_path):
        with pytest.raises(OSError, match="no entry") as caught:
            call(entry_id)
        assert caught.value.errno == errno.EINVAL


def test_damaged_content_is_eio_and_leaves_nothing(store: MemoryStore, view: View, hydrator: Hydrator) -> None:
    store.layers[0].damaged = True
    with pytest.raises(OSError, match="damaged") as caught:
        hydrator.hydrate(node_of(view, b"/usr/bin/tool").id)
    assert caught.value.errno == errno.EIO
    assert tree_of(store.layers[0].tree).keys() == {"usr", "usr/bin"}
    hydrator.close()
    assert list((store.root / "tmp").iterdir()) == []


@contextlib.contextmanager
def small_files_only() -> Iterator[None]:
    """What a full disk looks like, without one: no file may grow beyond 3,000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_full_disk_is_reported_and_leaves_nothing(store: MemoryStore, view: View, hydrator: Hydrator) -> None:
    with small_files_only(), pytest.raises(OSError, match="File too large") as caught:
        hydrator.hydrate(node_of(view, b"/usr/bin/tool").id)
    assert caught.value.errno == errno.EFBIG
    assert tree_of(store.layers[0].tree).keys() == {"usr", "usr/bin"}
    assert [p for p in (store.root / "tmp").rglob("*") if p.is_file() and p.suffix != ".lock"] == []


def test_staging_directory_of_a_killed_hydrator_is_swept(store: MemoryStore, view: View) -> None:
    child = os.fork()
    if child == 0:
        hydrator = Hydrator(store, view)
        hydrator.hydrate(node_of(view, b"/usr/bin/tool").id)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert list((store.root / "tmp").iterdir()) != []
    sweep(store.root / "tmp")
    assert list((store.root / "tmp").iterdir()) == []
    assert (store.layers[0].tree / "usr/bin/tool").stat().st_size == 4000


def test_short_content_is_eio(store: MemoryStore, view: View, hydrator: Hydrator) -> None:
    store.layers[0].content[512] = b"short"
    with pytest.raises(OSError, match="ends early") as caught:
        hydrator.hydrate(node_of(view, b"/usr/bin/tool").id)
    assert caught.value.errno == errno.EIO


def test_file_of_the_wrong_size_is_replaced(view: View, hydrator: Hydrator) -> None:
    path = hydrator.real_path(node_of(view, b"/usr/bin/tool").id)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"cut off")
    assert hydrator.hydrate(node_of(view, b"/usr/bin/tool").id).stat().st_size == 4000


@pytest.mark.parametrize("planted", ["usr", "usr/bin", "usr/bin/tool"])
def test_symbolic_link_in_a_tree_is_never_followed(
    store: MemoryStore, view: View, hydrator: Hydrator, tmp_path: Path, planted: str
) -> None:
    outside = tmp_path / "outside"
    (outside / "bin").mkdir(parents=True)
    link = store.layers[0].tree / planted
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with pytest.raises(OSError, match=r"\w") as caught:
        hydrator.hydrate(node_of(view, b"/usr/bin/tool").id)
    assert caught.value.errno in (errno.ELOOP, errno.ENOTDIR, errno.EIO)
    assert tree_of(outside).keys() == {"bin"}


def test_concurrent_hydrators_agree(store: MemoryStore, view: View) -> None:
    ids = [node.id for _, _, node in view.iter_nodes()]
    inodes: list[list[int]] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with Hydrator(store, view) as own:
                inodes.append([own.hydrate(entry_id).lstat().st_ino for entry_id in ids])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(inodes) == 8
    assert all(found == inodes[0] for found in inodes)


def test_empty_stack_has_a_view_but_no_real_files(tmp_path: Path) -> None:
    store = MemoryStore(tmp_path)
    view = store.view()
    assert (view.layers, view.entries, view.root.mode) == ((), 1, 0o755)
    with Hydrator(store, view) as hydrator, pytest.raises(FileNotFoundError):
        hydrator.hydrate(1)
    view.close()


def bulk(store: MemoryStore, count: int) -> MemoryLayer:
    """A layer of its own with `count` files in each of two directories, their content in one piece of memory."""
    layer = store.add_layer()
    layer.add(b"many", Entry(D, mode=0o711))
    for directory in (b"many/a", b"many/b"):
        layer.add(directory, Entry(D, mode=0o700))
        for number in range(count):
            layer.add_file(b"%s/f%03d" % (directory, number), b"%d" % number, 0o4755, 1_600_000_000_000_000_005)
    layer.merge_content()
    return layer


@pytest.fixture
def many(store: MemoryStore) -> Iterator[tuple[MemoryLayer, View, Hydrator]]:
    layer = bulk(store, 50)
    view = store.view()
    with Hydrator(store, view) as hydrator:
        yield layer, view, hydrator
    view.close()


def test_what_is_decompressed_already_can_be_made_ahead(many: tuple[MemoryLayer, View, Hydrator]) -> None:
    layer, view, hydrator = many
    first = node_of(view, b"/many/a/f000").id
    ahead = hydrator.ahead()
    assert list(ahead.iter_from(first, lambda: first + 10)) == list(range(first + 1, first + 11))
    assert tree_of(layer.tree) == {}, "nothing is decompressed for it"
    layer.ready = True
    list(ahead.iter_from(first, lambda: first + 10))
    made = sorted((layer.tree / "many/a").iterdir())
    assert [path.name for path in made] == [f"f{number:03}" for number in range(1, 11)]
    info = made[4].stat()
    assert (made[4].read_bytes(), stat.S_IMODE(info.st_mode), info.st_mtime_ns) == (
        b"5",
        0o755,
        1_600_000_000 * 10**9 + 5,
    )
    assert stat.S_IMODE((layer.tree / "many").stat().st_mode) == 0o711
    hydrator.hydrate(node_of(view, b"/many/a/f005").id)
    assert made[4].stat().st_ino == info.st_ino, "it is what the hydrator would have made"
    assert not [path for path in (hydrator_root(layer) / "tmp").rglob("*") if path.name.isdigit()], "nothing half-made"


def hydrator_root(layer: MemoryLayer) -> Path:
    return layer.tree.parents[2]


def test_a_whole_segment_can_be_made_once_its_files_are_known(many: tuple[MemoryLayer, View, Hydrator]) -> None:
    layer, view, hydrator = many
    layer.ready = True
    asked = node_of(view, b"/many/b/f007").id
    ahead = hydrator.ahead()
    assert list(ahead.iter_segment(asked)) == []
    list(ahead.iter_index())
    list(ahead.iter_segment(asked))
    assert len([path for path in layer.tree.rglob("f*") if path.is_file()]) == 100
    assert (layer.tree / "many/a/f049").read_bytes() == b"49"
    assert list(ahead.iter_segment(asked)) == [], "once"


def test_what_is_there_already_stays(many: tuple[MemoryLayer, View, Hydrator]) -> None:
    layer, view, hydrator = many
    layer.ready = True
    place = hydrator.hydrate(node_of(view, b"/many/a/f003").id)
    before = place.stat().st_ino
    first = node_of(view, b"/many/a/f000").id
    list(hydrator.ahead().iter_from(first, lambda: first + 5))
    assert place.stat().st_ino == before
    assert len(list((layer.tree / "many/a").iterdir())) == 5

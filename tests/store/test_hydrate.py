"""Hydration: what appears in a layer's tree."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from rootlay.store.hydrate.hydrator import Hydrator
from rootlay.store.model.entry import Entry
from rootlay.store.view.view import View
from tests.support.archives.memory import HOLE, F, H, MemoryStore, node_of, tree_of


def test_file_appears_whole_with_mode_and_time(memory: MemoryStore, view: View, hydrator: Hydrator) -> None:
    node = node_of(view, b"/usr/bin/tool")
    assert not hydrator.real_path(node.id).exists()
    path = hydrator.hydrate(node.id)
    assert path == memory.layers[0].tree / "usr/bin/tool" == hydrator.real_path(node.id)
    status = path.stat()
    assert path.read_bytes() == b"#!x\n" * 1000
    assert stat.S_IMODE(status.st_mode) == 0o711 | 0o400
    assert status.st_mtime_ns == 1_600_000_000_123_456_789
    assert stat.S_IMODE((memory.layers[0].tree / "usr").stat().st_mode) == 0o755
    assert tree_of(memory.layers[0].tree).keys() == {"usr", "usr/bin", "usr/bin/tool"}


def test_hydrating_again_keeps_the_file(view: View, hydrator: Hydrator) -> None:
    node = node_of(view, b"/usr/bin/tool")
    inode = hydrator.hydrate(node.id).stat().st_ino
    assert hydrator.hydrate(node.id).stat().st_ino == inode


def test_what_is_there_needs_no_layer(memory: MemoryStore, view: View, hydrator: Hydrator) -> None:
    ids = [node.id for _, _, node in view.iter_nodes()]
    hydrator.hydrate_all()
    memory.layers.clear()
    with Hydrator(memory, view) as other:
        assert all(os.path.lexists(other.hydrate(entry_id)) for entry_id in ids)


def test_hard_link_is_hydrated_under_its_first_name(view: View, hydrator: Hydrator) -> None:
    link = node_of(view, b"/usr/bin/same")
    assert hydrator.hydrate(link.id) == hydrator.real_path(node_of(view, b"/usr/bin/tool").id)


def test_lower_hard_link_is_hydrated_in_the_lower_layer(memory: MemoryStore) -> None:
    memory.add_layer().add(b"top", Entry(H, link=b"usr/bin/tool"))
    memory.layers[1].add(b"usr/bin/tool", Entry(F))  # replaces the first name
    memory.layers[1].add(b".wh.empty", Entry(F))
    view = memory.view()
    with Hydrator(memory, view) as hydrator:
        assert hydrator.hydrate(node_of(view, b"/top").id) == memory.layers[0].tree / "usr/bin/tool"
        assert hydrator.hydrate(node_of(view, b"/usr/bin/tool").id) == memory.layers[1].tree / "usr/bin/tool"
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


def test_directory_is_made_and_symbolic_link_is_one(memory: MemoryStore, view: View, hydrator: Hydrator) -> None:
    assert hydrator.hydrate(node_of(view, b"/usr/bin").id).is_dir()
    assert hydrator.hydrate(1) == memory.layers[0].tree
    link = hydrator.hydrate(node_of(view, b"/usr/link").id)
    assert (os.readlink(link), link.lstat().st_mtime_ns) == ("/etc/passwd", 10**18)
    assert hydrator.hydrate(node_of(view, b"/usr/link").id) == link


def test_sparse_file_gets_its_holes(memory: MemoryStore) -> None:
    layer = memory.layers[0]
    layer.content[99] = b"x" * 4096 + bytes(HOLE) + b"y" * 4096
    runs = ((0, 4096), (HOLE + 4096, 4096))
    layer.add(b"sparse", Entry(F, size=HOLE + 8192, offset=99, sparse=runs))
    view = memory.view()
    with Hydrator(memory, view) as hydrator:
        path = hydrator.hydrate(node_of(view, b"/sparse").id)
    assert path.read_bytes() == layer.content[99]
    assert path.stat().st_blocks * 512 < HOLE
    view.close()


def test_hydrate_all_makes_everything_once(memory: MemoryStore, view: View, hydrator: Hydrator) -> None:
    reports: list[tuple[int, int | None, str]] = []
    objects, content_bytes = hydrator.hydrate_all(lambda *report: reports.append(report))
    # /usr/bin/same is a second name; the root is the tree itself.
    assert objects - 1 == len(tree_of(memory.layers[0].tree)) == view.entries - 2
    assert content_bytes == 4000 + len(b"raw name")
    assert reports[0] == (0, content_bytes, "hydrating")
    assert reports[-1] == (content_bytes, content_bytes, "hydrating")
    assert len(reports) == 1 + objects


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


def test_concurrent_hydrators_agree(memory: MemoryStore, view: View) -> None:
    ids = [node.id for _, _, node in view.iter_nodes()]
    inodes: list[list[int]] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with Hydrator(memory, view) as own:
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

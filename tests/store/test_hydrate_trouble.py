"""Hydration where something is damaged, full, planted or killed: an error, and nothing half-made."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootlay.store.disk.durable import sweep
from rootlay.store.hydrate.hydrator import Hydrator
from rootlay.store.view.view import View
from tests.support.archives.memory import MemoryStore, node_of, tree_of


def test_damaged_content_is_eio_and_leaves_nothing(memory: MemoryStore, view: View, hydrator: Hydrator) -> None:
    memory.layers[0].damaged = True
    with pytest.raises(OSError, match="damaged") as caught:
        hydrator.hydrate(node_of(view, b"/usr/bin/tool").id)
    assert caught.value.errno == errno.EIO
    assert tree_of(memory.layers[0].tree).keys() == {"usr", "usr/bin"}
    hydrator.close()
    assert list((memory.root / "tmp").iterdir()) == []


@contextlib.contextmanager
def small_files_only() -> Iterator[None]:
    """What a full disk looks like, without one: no file may grow beyond 3,000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_full_disk_is_reported_and_leaves_nothing(memory: MemoryStore, view: View, hydrator: Hydrator) -> None:
    with small_files_only(), pytest.raises(OSError, match="File too large") as caught:
        hydrator.hydrate(node_of(view, b"/usr/bin/tool").id)
    assert caught.value.errno == errno.EFBIG
    assert tree_of(memory.layers[0].tree).keys() == {"usr", "usr/bin"}
    assert [p for p in (memory.root / "tmp").rglob("*") if p.is_file() and p.suffix != ".lock"] == []


def test_staging_directory_of_a_killed_hydrator_is_swept(memory: MemoryStore, view: View) -> None:
    child = os.fork()
    if child == 0:
        hydrator = Hydrator(memory, view)
        hydrator.hydrate(node_of(view, b"/usr/bin/tool").id)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert list((memory.root / "tmp").iterdir()) != []
    sweep(memory.root / "tmp")
    assert list((memory.root / "tmp").iterdir()) == []
    assert (memory.layers[0].tree / "usr/bin/tool").stat().st_size == 4000


def test_short_content_is_eio(memory: MemoryStore, view: View, hydrator: Hydrator) -> None:
    memory.layers[0].content[512] = b"short"
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
    memory: MemoryStore, view: View, hydrator: Hydrator, tmp_path: Path, planted: str
) -> None:
    outside = tmp_path / "outside"
    (outside / "bin").mkdir(parents=True)
    link = memory.layers[0].tree / planted
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with pytest.raises(OSError, match=r"\w") as caught:
        hydrator.hydrate(node_of(view, b"/usr/bin/tool").id)
    assert caught.value.errno in (errno.ELOOP, errno.ENOTDIR, errno.EIO)
    assert tree_of(outside).keys() == {"bin"}

"""Hydration of what nobody has asked for yet."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootlay.store.hydrate.hydrator import Hydrator
from rootlay.store.model.entry import Entry
from rootlay.store.view.view import View
from tests.support.archives.memory import D, MemoryLayer, MemoryStore, node_of, tree_of


def bulk(memory: MemoryStore, count: int) -> MemoryLayer:
    """A layer of its own with `count` files in each of two directories, their content in one piece of memory."""
    layer = memory.add_layer()
    layer.add(b"many", Entry(D, mode=0o711))
    for directory in (b"many/a", b"many/b"):
        layer.add(directory, Entry(D, mode=0o700))
        for number in range(count):
            layer.add_file(b"%s/f%03d" % (directory, number), b"%d" % number, 0o4755, 1_600_000_000_000_000_005)
    layer.merge_content()
    return layer


@pytest.fixture
def many(memory: MemoryStore) -> Iterator[tuple[MemoryLayer, View, Hydrator]]:
    layer = bulk(memory, 50)
    view = memory.view()
    with Hydrator(memory, view) as hydrator:
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

"""Content for copy-ups: what the hydrator sends, and which files it expects next."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rootlay.store.hydrate.contents import ANSWER_BYTES, FILE_BYTES
from rootlay.store.hydrate.hydrator import Hydrator
from rootlay.store.hydrate.walkorder import GAP_MAX, WalkOrder
from rootlay.store.model.entry import Entry
from rootlay.store.view.native import list_position
from rootlay.store.view.view import View
from tests.support.archives.memory import D, MemoryLayer, MemoryStore, node_of, tree_of

COUNT = 30


@pytest.fixture
def many(memory: MemoryStore) -> Iterator[tuple[MemoryLayer, View, Hydrator]]:
    """Directories with small files, and one that is too large to be sent."""
    layer = memory.add_layer()
    layer.add(b"many", Entry(D, mode=0o755))
    for directory in (b"many/a", b"many/b", b"many/c"):
        layer.add(directory, Entry(D, mode=0o755))
        for number in range(COUNT):
            layer.add_file(b"%s/f%03d" % (directory, number), b"%d" % number * 100, 0o644, 0)
    layer.add_file(b"many/large", bytes(FILE_BYTES + 1), 0o644, 0)
    layer.merge_content()
    layer.ready = True
    view = memory.view()
    with Hydrator(memory, view) as hydrator:
        yield layer, view, hydrator
    view.close()


def items(answer: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at < len(answer):
        number, size = struct.unpack_from("<II", answer, at)
        found[number] = answer[at + 8 : at + 8 + size]
        at += 8 + size
    return found


def walk(view: View, key: Callable[[bytes], Any]) -> list[int]:
    """The ids of the files below /many in the order of a walk that sorts each directory."""
    found = []
    for name in sorted((b"a", b"b", b"c", b"large"), key=key):
        if name == b"large":
            found.append(node_of(view, b"/many/large").id)
        else:
            inside = sorted((b"f%03d" % number for number in range(COUNT)), key=key)
            found += [node_of(view, b"/many/%s/%s" % (name, file)).id for file in inside]
    return found


@pytest.mark.parametrize("key", [list_position, bytes], ids=["as listed", "by name"])
def test_a_walk_needs_few_requests(many: tuple[MemoryLayer, View, Hydrator], key: Callable[[bytes], Any]) -> None:
    layer, view, hydrator = many
    contents = hydrator.contents()
    requests, have = 0, {}
    for number in walk(view, key):
        if number not in have:
            requests += 1
            answer = contents.answer(number)
            assert len(answer) <= ANSWER_BYTES
            have = items(answer)
        if have:
            name = view.find(*hydrator._native.key(number))
            assert name is not None
            assert len(have[number]) == name.size
    assert requests < 12
    assert tree_of(layer.tree) == {}, "nothing is hydrated"


def test_a_file_alone_is_sent_alone(many: tuple[MemoryLayer, View, Hydrator]) -> None:
    _, view, hydrator = many
    number = node_of(view, b"/many/b/f007").id
    assert items(hydrator.contents().answer(number)) == {number: b"7" * 100}
    contents = hydrator.contents()
    for name in (b"/many/a/f001", b"/many/c/f020", b"/many/b/f011", b"/many/large"):
        assert len(items(contents.answer(node_of(view, name).id))) == (name != b"/many/large")


def test_nothing_is_decompressed_for_what_was_not_requested(many: tuple[MemoryLayer, View, Hydrator]) -> None:
    layer, view, hydrator = many
    layer.ready = False
    contents = hydrator.contents()
    assert [len(items(contents.answer(number))) for number in walk(view, list_position)[:20] if number] == [1] * 20


def test_a_stream_is_found_again_behind_what_was_left_out(many: tuple[MemoryLayer, View, Hydrator]) -> None:
    _, view, hydrator = many
    order, files = WalkOrder(hydrator._native), walk(view, list_position)
    assert list(order.asked(files[0])) == []
    assert list(order.asked(files[GAP_MAX])) == files[GAP_MAX + 1 : GAP_MAX + 9]
    order.sent(files[GAP_MAX + 8])
    assert list(order.asked(files[GAP_MAX + 9])) == files[GAP_MAX + 10 : GAP_MAX + 26]
    assert list(order.asked(files[-1])) == []

"""The extension against damaged indexes and damaged views: an error, never a crash, never nonsense."""

from __future__ import annotations

import contextlib
import mmap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rootlay.store.model.entry import ROOT_ID, Entry, EntryType, entry_key
from rootlay.store.model.errors import CorruptStore
from rootlay.store.model.value import replace
from rootlay.store.view.merge import Merge, MissingTarget, lookup
from rootlay.store.view.native import CHILDREN, ENTRY_BYTES, NativeHeader, NativeView
from rootlay.store.view.view import Node

D, F, L, H = EntryType.DIRECTORY, EntryType.FILE, EntryType.SYMLINK, EntryType.HARDLINK
Records = list[tuple[bytes, bytes]]

ROOT = Entry(D, 1, 1, mode=0o755)
RICH = Entry(F, 3, 3, size=8, xattrs=((b"user.a", b"value"),), sparse=((0, 1), (4, 2)))


def sample() -> Records:
    entries = [
        ((0, b""), ROOT),
        ((1, b"d"), Entry(D, 2, 2)),
        ((1, b"h"), Entry(H, 7, 7, link=b"d/f")),
        ((1, b"w"), Entry(EntryType.WHITEOUT, 8, 8)),
        ((2, b"f"), RICH),
        ((2, b"g"), replace(RICH, id=4, ino=3)),
        ((2, b"l"), Entry(L, 5, 5, link=b"../target")),
        ((2, b"p"), Entry(EntryType.FIFO, 6, 6)),
    ]
    return [(entry_key(*key), entry.pack()) for key, entry in entries]


def build(*layers: Records) -> tuple[Records, bytes]:
    merge = Merge()
    for layer in layers:
        merge.add(layer)
    entries, _ = merge.finish()
    return merge.records(1, entries), b"".join(merge.iter_native(bytes(32)))


def with_entry(parent: int, name: bytes, packed: bytes) -> Records:
    return sorted([(entry_key(0, b""), ROOT.pack()), (entry_key(parent, name), packed)])


def patched(entry: Entry, at: int, data: bytes) -> bytes:
    packed = bytearray(entry.pack())
    packed[at : at + len(data)] = data
    return bytes(packed)


def u32(number: int) -> bytes:
    return number.to_bytes(4, "little")


FILE = Entry(F, 2, 2, size=8)
LINK = Entry(L, 2, 2, link=b"target")

BAD_VALUES = {
    "empty": b"",
    "cut off": FILE.pack()[:-1],
    "too long": FILE.pack() + b"x",
    "unknown type": patched(FILE, 0, b"x"),
    "type 0": patched(FILE, 0, b"\0"),
    "unknown flag": patched(FILE, 1, b"\x10"),
    "implicit file": patched(FILE, 1, b"\x01"),
    "opaque file": patched(FILE, 1, b"\x02"),
    "sparse directory": replace(RICH, id=2, ino=2, type=D).pack(),
    "id 0": patched(FILE, 4, u32(0)),
    "second root": patched(FILE, 4, u32(1)),
    "reserved id": patched(FILE, 4, u32(0xFFFFFFFF)),
    "ino of nobody": patched(FILE, 8, u32(9)),
    "ino of a directory": patched(FILE, 8, u32(1)),
    "mode with type bits": replace(FILE, mode=0o100644).pack(),
    "huge size": replace(FILE, size=1 << 63).pack(),
    "link on a file": replace(FILE, link=b"x").pack(),
    "link too long for the record": patched(LINK, 28, u32(7)),
    "huge link": patched(LINK, 28, u32(0xFFFFFFFF)),
    "no link": replace(LINK, link=b"").pack(),
    "link of 4096 bytes": replace(LINK, link=b"x" * 4096).pack(),
    "link with a NUL": replace(LINK, link=b"a\0b").pack(),
    "more xattrs than there are": patched(RICH, 2, b"\xff\xff"),
    "fewer xattrs than there are": patched(RICH, 2, b"\0\0"),
    "huge xattr value": patched(RICH, 66, u32(0xFFFFFFFF)),
    "more runs than there are": RICH.pack()[:-36] + u32(0x10000001) + RICH.pack()[-32:],
    "run outside the file": replace(RICH, sparse=((7, 2),)).pack(),
    "run with overflow": replace(RICH, sparse=((1, (1 << 64) - 1),)).pack(),
    "runs out of order": replace(RICH, sparse=((4, 2), (0, 1))).pack(),
}


@pytest.mark.parametrize("value", BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_damaged_value_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="layer 0, record 1: "):
        build(with_entry(1, b"name", value))


BAD_KEYS = {
    "short": b"\0\0\1",
    "256 bytes": entry_key(1, b"x" * 256),
    "no name": entry_key(1, b""),
    "slash": entry_key(1, b"a/b"),
    "nul": entry_key(1, b"a\0"),
    "dot": entry_key(1, b"."),
    "dot dot": entry_key(1, b".."),
    "orphan": entry_key(5, b"x"),
    "child of itself": entry_key(2, b"x"),
    "reserved": b"\xff\xff\xff\xffmeta",
    "named root": entry_key(0, b"x"),
}


@pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS.keys())
def test_damaged_key_is_refused(key: bytes) -> None:
    with pytest.raises(ValueError, match="layer 0, record 1: "):
        build([(entry_key(0, b""), ROOT.pack()), (key, FILE.pack())])


def test_order_duplicates_and_circles_are_refused() -> None:
    good = sample()
    for bad in (good[1:], good[::-1], good[:2] + good[1:], [good[0], good[0]]):
        with pytest.raises(ValueError, match="layer 0"):
            build(bad)
    circle = [good[0], (entry_key(2, b"a"), Entry(D, 3, 3).pack()), (entry_key(3, b"b"), Entry(D, 2, 2).pack())]
    with pytest.raises(ValueError, match="whose parent is no directory"):
        build(circle)
    twice = [good[0], (entry_key(1, b"a"), FILE.pack()), (entry_key(1, b"b"), FILE.pack())]
    with pytest.raises(ValueError, match="two entries with one id"):
        build(twice)


def test_path_of_more_than_65535_bytes_is_refused() -> None:
    deep = [(entry_key(0, b""), ROOT.pack())]
    deep += [(entry_key(number, b"x" * 255), Entry(D, number + 1, number + 1).pack()) for number in range(1, 257)]
    assert build(deep[:-1])
    with pytest.raises(ValueError, match="65535"):
        build(deep)


def test_a_failed_merge_stays_failed() -> None:
    merge = Merge()
    with pytest.raises(ValueError, match="no root"):
        merge.add(sample()[1:])
    for call in (lambda: merge.add(sample()), merge.finish, lambda: list(merge.iter_native(bytes(32)))):
        with pytest.raises(ValueError, match="has failed"):
            call()


def test_an_iterator_that_raises_or_meddles_does_no_harm() -> None:
    merge = Merge()

    def meddle() -> object:
        yield sample()[0]
        with pytest.raises(ValueError, match="has failed"):
            merge.add(sample())
        raise RuntimeError("reader broke")

    with pytest.raises(RuntimeError, match="reader broke"):
        merge.add(meddle())  # type: ignore[arg-type] # deliberately loose
    for wrong in ([1], [(b"k",)], [(b"k", "v")], [("k", b"v")], 5):
        with pytest.raises((TypeError, ValueError)):
            Merge().add(wrong)  # type: ignore[arg-type] # deliberately wrong


def test_methods_out_of_order_are_refused() -> None:
    merge = Merge()
    with pytest.raises(ValueError, match="not finished"):
        merge.records(1, 1)
    merge.finish()
    with pytest.raises(ValueError, match="is finished"):
        merge.add([])
    with pytest.raises(ValueError, match="32 bytes"):
        list(merge.iter_native(b"short"))
    assert merge.records(0, 99) == merge.records(1, 1)
    assert merge.records(2, 1) == merge.records(0xFFFFFFFF, 0xFFFFFFFF) == []


mutations = st.lists(
    st.tuples(st.integers(0, 7), st.booleans(), st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=4
)


@settings(max_examples=1000, deadline=None)
@given(mutations=mutations, resort=st.booleans())
def test_mutated_index_gives_a_view_or_an_error(mutations: list[tuple[int, bool, int, int]], resort: bool) -> None:
    records = [[bytearray(key), bytearray(value)] for key, value in sample()]
    for index, in_value, at, byte in mutations:
        part = records[index][in_value]
        part[at % len(part)] = byte
    damaged = [(bytes(key), bytes(value)) for key, value in records]
    try:
        found, native = build(sample(), sorted(damaged) if resort else damaged)
    except (ValueError, MissingTarget):
        return
    for number, (key, value) in enumerate(found, 1):
        assert Node.unpack(value).id == number
        assert lookup(native, int.from_bytes(key[:4], "big"), key[4:]) == number


@settings(max_examples=1000, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=6),
    end=st.none() | st.integers(0, 2000),
    parent=st.integers(0, 2**32 - 1),
)
def test_lookup_in_a_mutated_view_ends(changes: list[tuple[int, int]], end: int | None, parent: int) -> None:
    damaged = bytearray(build(sample())[1])
    for at, byte in changes:
        damaged[at % len(damaged)] = byte
    for key in ((parent, b"f"), (2, b"f"), (1, b"d"), (1, b"")):
        with contextlib.suppress(ValueError):
            assert lookup(bytes(damaged[:end]), *key) >= 0


def test_children_outside_the_table_are_refused() -> None:
    """A delta makes a list of its base's children: of four thousand million ids it would take all memory."""
    damaged = bytearray(build(sample())[1])
    at = NativeHeader.parse(bytes(damaged), "x").off_entries + ENTRY_BYTES * ROOT_ID + CHILDREN.size - 4
    damaged[at : at + 4] = b"\xff" * 4
    with mmap.mmap(-1, len(damaged)) as mapped:
        mapped[:] = bytes(damaged)
        view = NativeView.of(mapped, "x")
        for ask in (view.entry, view.children, view.list_types):
            with pytest.raises(CorruptStore, match="children outside"):
                ask(ROOT_ID)

"""The packed form of a layer entry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rootlay.store.model.entry import Entry, EntryType, entry_key, split_key
from rootlay.store.model.errors import CorruptStore

_U32 = st.integers(0, 2**32 - 1)
_U64 = st.integers(0, 2**63 - 1)
_ENTRIES = st.builds(
    Entry,
    st.sampled_from(EntryType), _U32, _U32, _U32, st.integers(0, 0o7777), _U32, _U32, _U64,
    st.integers(-(2**63), 2**63 - 1), _U64, _U32, _U32, st.binary(max_size=300),
    st.lists(st.tuples(st.binary(min_size=1, max_size=255), st.binary(max_size=300)), max_size=3).map(tuple),
    st.none() | st.lists(st.tuples(_U64, _U64), max_size=4).map(tuple),
    st.booleans(), st.booleans(), st.booleans(),
)  # fmt: skip


@given(_ENTRIES)
def test_unpack_is_the_inverse_of_pack(entry: Entry) -> None:
    assert Entry.unpack(entry.pack()) == entry


@given(_ENTRIES, st.data())
def test_a_shortened_entry_is_refused(entry: Entry, data: st.DataObject) -> None:
    packed = entry.pack()
    cut = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(CorruptStore):
        Entry.unpack(packed[:cut])


def test_the_head_has_the_documented_layout() -> None:
    packed = Entry(
        EntryType.SYMLINK, 2, 3, 4, 0o777, 5, 6, 7, -8, 9, 10, 11, b"to", ((b"n", b"v"),), None, True, True, True
    ).pack()
    assert packed[:4] == b"l\x07\x01\x00"
    assert packed[4:8] == b"\x02\0\0\0"
    assert packed[28:32] == b"\x02\0\0\0"
    assert packed[40:48] == (-8).to_bytes(8, "little", signed=True)
    assert packed[64:] == b"to" + b"\x01\0\x01\0\0\0nv"


def test_keys_sort_by_parent_then_name() -> None:
    keys = [entry_key(p, n) for p, n in ((0, b""), (1, b"a"), (1, b"a\xff"), (1, b"b"), (256, b"a"))]
    assert keys == sorted(keys)
    assert split_key(keys[-1]) == (256, b"a")

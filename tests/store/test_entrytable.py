"""The table of a layer's entries against a dictionary, with much of it packed at any time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rootlay.store.layer.entrytable import EntryTable
from rootlay.store.model.entry import entry_key

KEYS = st.builds(entry_key, st.integers(0, 5), st.binary(max_size=3))
VALUES = st.binary(max_size=40)
STEPS = st.lists(st.one_of(
    st.tuples(st.just("set"), KEYS, VALUES), st.tuples(st.just("get"), KEYS), st.tuples(st.just("drop"), KEYS),
))  # fmt: skip


SCRATCH = (None, Path(tempfile.gettempdir()), Path("/nowhere"))


@given(STEPS, st.integers(0, 12), st.sampled_from(SCRATCH))
def test_it_holds_what_a_dictionary_holds(
    steps: list[tuple[str, bytes, bytes]], unpacked: int, scratch: Path | None
) -> None:
    table, expected = EntryTable(unpacked, scratch), dict[bytes, bytes]()
    for what, key, *value in steps:
        if what == "set":
            table[key] = expected[key] = value[0]
        elif what == "get":
            assert table.get(key) == expected.get(key)
        else:
            table.drop([key[:4]])
            expected = {k: v for k, v in expected.items() if k[:4] != key[:4]}
        assert len(table) == len(expected)
    assert list(table.iter_sorted()) == sorted(expected.items())


def test_directories_in_turns_stay_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive that changes directory with each entry costs few unpackings for each directory, not one an entry."""
    unpacked = 0
    unpack = EntryTable._unpack

    def counted(table: EntryTable, block: bytes) -> Iterator[tuple[bytes, bytes]]:
        nonlocal unpacked
        unpacked += 1
        return unpack(table, block)

    monkeypatch.setattr(EntryTable, "_unpack", counted)
    table = EntryTable(100)
    for number in range(200):
        for directory in range(50):
            table[entry_key(directory, b"%d" % number)] = b"entry"
    assert unpacked < 500
    assert len(table) == 10_000

"""The table of a layer's entries against a dictionary, with much of it packed at any time."""

from __future__ import annotations

import random
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


@given(STEPS, st.integers(0, 12), st.sampled_from(SCRATCH), st.integers(1, 4), st.integers(0, 6))
def test_it_holds_what_a_dictionary_holds(
    steps: list[tuple[str, bytes, bytes]], new: int, scratch: Path | None, leaf: int, unpacked: int
) -> None:
    table, expected = EntryTable(new, scratch, leaf, unpacked), dict[bytes, bytes]()
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

    def counted(table: EntryTable, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        nonlocal unpacked
        unpacked += 1
        return unpack(table, start)

    monkeypatch.setattr(EntryTable, "_unpack", counted)
    table = EntryTable(100)
    for number in range(200):
        for directory in range(50):
            table[entry_key(directory, b"%d" % number)] = b"entry"
    assert unpacked < 500
    assert len(table) == 10_000


@pytest.mark.parametrize("directories", [1, 10_000])
@pytest.mark.parametrize("order", ["sorted", "random"])
def test_little_is_in_memory(directories: int, order: str) -> None:
    """Whether there is one directory, or as many as there are files; in any order."""
    keys = [entry_key(number * directories // 10_000, b"%06d" % number) for number in range(10_000)]
    if order == "random":
        random.Random(1).shuffle(keys)
    table, most = EntryTable(500, None, 100, 200), 0
    for key in keys:
        assert table.get(key) is None
        table[key] = key
        most = max(most, len(table._new) + table._open_entries)
    assert most < (800 if order == "sorted" else 2500)
    assert len(table._starts) < 250
    assert [table.get(key) for key in keys[::500]] == keys[::500]
    assert [key for key, _ in table.iter_sorted()] == sorted(keys)


def test_no_entry_is_unpacked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries in a random order, which are replaced in another one: the time is proportional to their number."""
    unpacked, unpack = 0, EntryTable._unpack

    def counted(table: EntryTable, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        nonlocal unpacked
        for row in unpack(table, start):
            unpacked += 1
            yield row

    monkeypatch.setattr(EntryTable, "_unpack", counted)
    keys = [entry_key(1, b"%06d" % number) for number in range(20_000)]
    random.Random(1).shuffle(keys)
    table = EntryTable(100, None, 50, 100)
    for key in (*keys, *sorted(keys), *keys):
        table[key] = b"entry"
    assert len(table) == 20_000
    assert unpacked < 15 * 20_000

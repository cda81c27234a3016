"""Records: docs/format.md §6."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rootlay.vfs.merge.record import NO_RECORD, NOTHING, Record

numbers = st.one_of(st.none(), st.integers(0, 2**32 - 1))
xattrs = st.dictionaries(
    st.binary(min_size=1, max_size=20).filter(lambda name: b"\0" not in name), st.binary(max_size=20), max_size=3
)
name = st.binary(min_size=1, max_size=10).map(lambda raw: raw.translate(None, b"\0/.") or b"n")
redirects = st.one_of(st.none(), st.lists(name, min_size=1, max_size=3).map(lambda found: b"/" + b"/".join(found)))
records = st.builds(
    Record,
    numbers,
    numbers,
    numbers,
    st.one_of(st.none(), st.tuples(st.integers(0, 4095), st.integers(0, 2**20))),
    st.one_of(st.none(), st.integers(0, 2**64 - 1)),
    xattrs.map(lambda found: tuple(sorted(found.items()))),
    redirects,
    st.one_of(st.none(), st.integers(0, 2**64 - 1)),
)


@settings(max_examples=200, database=None)
@given(records)
def test_parse_is_the_inverse_of_format(record: Record) -> None:
    assert Record.parse(record.format()) == record


def test_text_is_as_documented() -> None:
    record = Record(33, 7, 0o104755, (1, 3), 281474976710663, ((b"user.a", b"\x01"),), b"/x;r=y")
    assert record.format() == b"u=33;g=7;m=104755;d=1:3;i=281474976710663;x757365722e61=01;r=/x;r=y"


def test_what_lies_beside_a_name_leads_to_a_linked_record() -> None:
    record = Record(33, linked=7)
    assert (record.format(), record.beside()) == (b"u=33;l=7", b"l=7")
    assert Record.parse(b"l=7") == Record(linked=7)
    assert Record.parse(NOTHING) == NO_RECORD


def test_empty_record_is_false() -> None:
    assert not NO_RECORD
    assert Record.parse(b"") == NO_RECORD
    assert Record(uid=0)


def test_fields_of_later_versions_are_skipped() -> None:
    assert Record.parse(b"u=1;z=9;r=/a") == Record(uid=1, redirect=b"/a")


@pytest.mark.parametrize("text", [b"u=x", b"m=9", b"d=1", b"xzz=00"])
def test_malformed_value_is_an_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Record.parse(text)


@pytest.mark.parametrize(
    "text",
    [b"u=-1", b"u=+1", b"u= 1", b"u=1_0", b"u=4294967296", b"m=8", b"d=1", b"d=1:", b"i=18446744073709551616", b"l=x",
     b"l=18446744073709551616", b"x=76",
     b"x7=76", b"x6100=76", b"x61=7", b"r=", b"r=a", b"r=/", b"r=/..", b"r=/a/../b", b"r=/a/.", b"r=/a//b", b"r=/a/"],
)  # fmt: skip
def test_what_no_engine_writes_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- several kinds
        Record.parse(text)

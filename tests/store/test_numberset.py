"""Dense sets of numbers against those of Python."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rootlay.store.check.numberset import NumberSet

NUMBERS = st.lists(st.one_of(st.integers(0, 600), st.integers(0, 2**32)))


@given(NUMBERS, NUMBERS)
def test_it_holds_what_a_set_holds(some: list[int], others: list[int]) -> None:
    found, expected = NumberSet(), set[int]()
    for number in some:
        assert found.add(number) == (number not in expected)
        expected.add(number)
    other = NumberSet()
    for number in others:
        other.add(number)
    assert len(found) == len(expected)
    assert all((number in found) == (number in expected) for number in [*some, *others])
    assert found.issubset(other) == (expected <= set(others))

"""Sets of numbers that are mostly dense, such as ids: a bit for each. A set of Python takes 100 bytes for each."""

from __future__ import annotations

_BITS = 8  # of a number within its page


class NumberSet:
    """A set of numbers from 0 on."""

    def __init__(self) -> None:
        self._pages: dict[int, int] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, number: int) -> bool:
        return bool(self._pages.get(number >> _BITS, 0) >> (number & (1 << _BITS) - 1) & 1)

    def add(self, number: int) -> bool:
        """Add a number; return whether it is new."""
        page, bit = number >> _BITS, 1 << (number & (1 << _BITS) - 1)
        old = self._pages.get(page, 0)
        if old & bit:
            return False
        self._pages[page] = old | bit
        self._count += 1
        return True

    def issubset(self, other: NumberSet) -> bool:
        """Return whether the other set has all numbers of this one."""
        return all(not bits & ~other._pages.get(page, 0) for page, bits in self._pages.items())

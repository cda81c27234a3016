"""Variables in the text of instructions."""

from __future__ import annotations

import re
from collections.abc import Iterable

_VARIABLE = re.compile(r"(?<!\\)\$(?:\{([A-Za-z_]\w*)(:?[-+?])?|([A-Za-z_]\w*))")


def used(text: str) -> list[str]:
    """Return the names of the variables in a text that have no default of their own, in order."""
    return [found[1] or found[3] for found in _VARIABLE.finditer(text) if not found[2]]


def near(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean X?)`, or nothing (BuildKit: a distance of at most two changes)."""
    best = min(((_distance(name.lower(), each.lower()), each) for each in sorted(known)), default=(9, ""))
    return f" (did you mean {best[1]}?)" if 0 < best[0] <= 2 else ""


def _distance(first: str, second: str) -> int:
    row = list(range(len(second) + 1))
    for number, letter in enumerate(first, 1):
        before, row = row, [number]
        for position, other in enumerate(second, 1):
            row.append(min(row[-1] + 1, before[position] + 1, before[position - 1] + (letter != other)))
    return row[-1]

"""The word that was probably meant: an edit distance of at most two, as in BuildKit (util/suggest).

Unlike there, a swap of neighbours is one edit: BuildKit is as likely to take RNU for ENV as for RUN.
"""

from __future__ import annotations

from collections.abc import Iterable

_FARTHEST = 2


def near_miss(word: str, known: Iterable[str], *, any_case: bool = False) -> str | None:
    """Return the nearest of the known words, in the case of `word` if case does not matter; None if none is near.

    A part of the word must remain: "a" is not near "id". An exact match is not a miss: then the error is elsewhere, and
    there is nothing to suggest.
    """
    wanted = word.lower() if any_case else word
    best, least = None, min(_FARTHEST + 1, len(wanted))
    for candidate in sorted(known):
        shown = candidate.lower() if any_case else candidate
        if shown == wanted:
            return None
        if abs(len(shown) - len(wanted)) < least and (found := _distance(wanted, shown)) < least:
            best, least = candidate, found
    if best is not None and any_case:
        return best.lower() if word == word.lower() else best.upper()
    return best


def _distance(a: str, b: str) -> int:
    """Count insertions, deletions, replacements of one character, and swaps of two neighbours (RNU for RUN)."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, above = row, before
        row = [i]
        for j, y in enumerate(b, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and y == a[i - 2]:
                cost = min(cost, above[j - 2] + 1)
            row.append(cost)
    return row[-1]

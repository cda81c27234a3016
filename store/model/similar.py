"""Names that are close to a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

CLOSE = 0.75
"""The least ratio of matching characters (difflib): one or two typing errors."""


def similar_names(name: str, known: Iterable[str]) -> list[str]:
    """Return at most three known names that are close to a name, the closest first.

    `debain` is close to `debian:latest`: a missing tag does not count.
    """
    by_short = {each.removesuffix(":latest"): each for each in known}
    return [by_short[found] for found in difflib.get_close_matches(name.removesuffix(":latest"), by_short, 3, CLOSE)]

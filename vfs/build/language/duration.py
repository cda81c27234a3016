"""Durations in Go's notation ("1h30m", "1.5s", "-100ms"), in nanoseconds.

Source: Go's time.ParseDuration.
"""

from __future__ import annotations

import re

from rootlay.vfs.build.language.errors import BadValue

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5
    "μs": 1_000,  # U+03BC
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_LONGEST_NS = (1 << 63) - 1


def parse_duration(text: str) -> int:
    """Return nanoseconds. Raises BadValue."""
    unsigned = text[1:] if text[:1] in ("+", "-") else text
    if unsigned == "0":
        return 0
    from decimal import Decimal

    total, at = Decimal(0), 0
    while match := _PART.match(unsigned, at):
        total += Decimal(match[1]) * _UNITS[match[2]]
        at = match.end()
    if at == 0 or at != len(unsigned) or total > _LONGEST_NS:
        raise BadValue(f"invalid duration {text!r}: a number and a unit, as in 30s, 1m30s or 500ms")
    return -int(total) if text.startswith("-") else int(total)

"""The shared option of the verbs that import images: how much an image may unpack to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rootlay.cli.spec import Option, UsageError, Values

if TYPE_CHECKING:
    from rootlay.store.model.limits import Limits

LIMIT_OPTIONS = (
    Option(("--max-size",), "text", "Maximum unpacked size, e.g. 20g (default: 1t).", "BYTES"),
    Option(("--max-entries",), "int", "Maximum number of entries in all layers (default: 10000000).", "COUNT"),
    Option(("--max-ratio",), "int", "Maximum compression ratio of a layer (default: 2000).", "TIMES"),
)
_SIZE = re.compile(r"([0-9]+)([bkmgt]?)", re.IGNORECASE)
_SHIFTS = {"": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40}


def parse_size(text: str, flag: str) -> int:
    """Parse a size in Docker's form to bytes: `512m`, `20g`; units are powers of 1024. Raises UsageError."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise UsageError(f"{flag} {text}: expected a size such as 512m or 20g")
    return int(found[1]) << _SHIFTS[found[2].lower()]


def limits_of(values: Values) -> Limits:
    """Return the limits that the user set, and the defaults for the others. Raises UsageError."""
    from rootlay.store.model.limits import Limits

    found = Limits()
    size = values.text("max_size")
    entries, ratio = values.number("max_entries"), values.number("max_ratio")
    for flag, number in (("--max-entries", entries), ("--max-ratio", ratio)):
        if number is not None and number < 1:
            raise UsageError(f"{flag} {number}: must be positive")
    return Limits(
        found.size_bytes if size is None else parse_size(size, "--max-size"),
        found.entries if entries is None else entries,
        found.ratio if ratio is None else ratio,
    )

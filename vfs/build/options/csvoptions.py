"""Lists of attributes in the options of `docker build`: `type=local,dest=out`, quoted as in CSV."""

from __future__ import annotations

import csv
from collections.abc import Collection

from rootlay.vfs.build.language.errors import BadValue
from rootlay.vfs.build.language.suggest import near_miss


def parse_attributes(text: str, known: Collection[str]) -> dict[str, str]:
    """Return `key=value,…` as a dictionary, keys in lower case; a key alone has the value "".

    Raises BadValue: a key that is not in `known`, or given twice.
    """
    try:
        (fields,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError):
        raise BadValue(f"{text}: expected key=value,…") from None
    found: dict[str, str] = {}
    for field in fields:
        key, _, value = field.strip().partition("=")
        key = key.strip().lower()
        if key not in known:
            meant = near_miss(key, list(known))
            hint = f", did you mean {meant}?" if meant else f" (there are {', '.join(sorted(known))})"
            raise BadValue(f"{text}: there is no attribute {key!r}{hint}")
        if key in found:
            raise BadValue(f"{text}: {key} is given twice")
        found[key] = value.strip()
    return found


def truth(text: str, value: str) -> bool:
    """Parse `true`, `1`, or the key alone; `false`, `0`. Raises BadValue, which names `text`."""
    if value.lower() in ("", "true", "1"):
        return True
    if value.lower() in ("false", "0"):
        return False
    raise BadValue(f"{text}: expected true or false, not {value!r}")

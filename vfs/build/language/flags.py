"""The flags of an instruction (`COPY --from=…`), read into a table of known ones.

Source: BuildKit frontend/dockerfile/instructions/bflag.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from rootlay.vfs.build.language.errors import BadValue
from rootlay.vfs.build.language.suggest import near_miss

Kind = Literal["text", "texts", "bool"]


class Flags:
    """The given flags, by name; each name must be in the table of known flags.

    Raises:
        BadValue: an unknown flag, a forbidden repetition of a flag, or a wrong or missing value.
    """

    def __init__(self, written: Sequence[str], known: Mapping[str, Kind]) -> None:
        self._given: dict[str, list[str]] = {}
        for word in written:
            name, equals, value = word[2:].partition("=")
            if name not in known:
                raise BadValue(f"unknown flag: --{name}", _dashed(near_miss(name, known)))
            if name in self._given and known[name] != "texts":
                raise BadValue(f"--{name} is given twice")
            if known[name] == "bool":
                value = _boolean(name, value, bool(equals))
            elif not equals:
                raise BadValue(f"--{name} needs a value: --{name}=…")
            self._given.setdefault(name, []).append(value)

    def text(self, name: str) -> str | None:
        """Return the value; None if not given, or empty (BuildKit does not distinguish these)."""
        return (self._given.get(name) or [""])[0] or None

    def texts(self, name: str) -> tuple[str, ...]:
        """Return all values in order."""
        return tuple(self._given.get(name, ()))

    def find_bool(self, name: str) -> bool | None:
        """Return the value; None if not given."""
        given = self._given.get(name)
        return None if given is None else given[0] == "true"


def _boolean(name: str, value: str, given: bool) -> str:
    lower = value.lower() if given else "true"
    if lower not in ("true", "false"):
        raise BadValue(f"--{name} must be true or false, not {value!r}")
    return lower


def _dashed(name: str | None) -> str | None:
    return None if name is None else f"--{name}"

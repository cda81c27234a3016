"""The value of `--chmod`: octal, or symbolic as in chmod(1) (`u=rwX,go=rX`, `+x`, `a-w`)."""

from __future__ import annotations

import re
import stat

from rootlay.store.model.value import value

_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)\Z")
_ACTION = re.compile(r"([-+=])([ugo](?![rwxXst])|[rwxXst]*)")
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007}
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111}


@value
class ModeChange:
    """A change of permission bits. `octal` replaces them all; `clauses` are (who, [(operator, permissions)])."""

    octal: int | None = None
    clauses: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()

    @classmethod
    def parse(cls, text: str) -> ModeChange:
        """Parse a value. Raises ValueError, with a message for the user."""
        if re.fullmatch(r"[0-7]{1,5}", text) and int(text, 8) <= 0o7777:
            return cls(octal=int(text, 8))
        clauses = []
        for clause in text.split(","):
            found = _CLAUSE.match(clause)
            if found is None:
                raise ValueError(f"invalid mode {text!r}: expected octal, as in 0644, or symbolic, as in u=rwX,go=rX")
            actions = tuple((sign, what) for sign, what in _ACTION.findall(found[2]))
            clauses.append((found[1] or "a", actions))
        return cls(clauses=tuple(clauses))

    def apply(self, mode: int) -> int:
        """Return the st_mode (type bits included) of an object that had `mode`."""
        kind, bits = stat.S_IFMT(mode), stat.S_IMODE(mode)
        if self.octal is not None:
            return kind | self.octal
        for who, actions in self.clauses:
            mask = 0
            for letter in "ugo" if "a" in who else who:
                mask |= _WHO[letter]
            for sign, what in actions:
                bits = _applied(bits, mask, sign, what, stat.S_ISDIR(mode))
        return kind | bits


def _applied(bits: int, mask: int, sign: str, what: str, is_directory: bool) -> int:
    value = 0
    if what in ("u", "g", "o"):
        three = bits >> {"u": 6, "g": 3, "o": 0}[what] & 7
        value = three << 6 | three << 3 | three
    else:
        for letter in what:
            if letter == "X":
                value |= 0o111 if is_directory or bits & 0o111 else 0
            elif letter == "s":
                value |= 0o6000
            elif letter == "t":
                value |= 0o1000
            else:
                value |= _BITS[letter]
    value &= mask
    if sign == "+":
        return bits | value
    if sign == "-":
        return bits & ~value
    # GNU chmod: a directory keeps its set-id bits unless they are named.
    kept = bits & 0o6000 if is_directory and "s" not in what else 0
    return bits & ~mask | value | kept & mask

r"""The patterns of `${NAME#pattern}` and `${NAME/pattern/word}`: `*`, `?` and `\`, no brackets.

Source: BuildKit frontend/dockerfile/shell/lex.go, convertShellPatternToRegex; POSIX XCU 2.14.
"""

from __future__ import annotations

from rootlay.vfs.build.language.automaton import Automaton, Step, accepted_ends, literal, star
from rootlay.vfs.build.language.errors import BadValue


def cut(pattern: str, value: str, *, longest: bool, from_end: bool) -> str:
    """Return the value without the shortest or longest match at its start or end. Raises BadValue."""
    steps = _steps(pattern)
    if from_end:
        steps.reverse()
        value = value[::-1]
    ends = Automaton(steps).ends(value)
    if ends is not None:
        value = value[ends[longest] :]
    return value[::-1] if from_end else value


def replace(pattern: str, value: str, replacement: str, *, everywhere: bool, limit: int) -> str:
    """Return the value with the first match, or all, replaced; matches are as long as possible.

    An empty match right behind another match does not count (as in Go). With more than `limit` characters of
    replacements, the rest of the value is left out. Raises BadValue.
    """
    steps = _steps(pattern)
    automaton = Automaton(steps)
    begins = accepted_ends(Automaton(reversed(steps), anywhere=True), value[::-1])[::-1]
    result, at, last, length = [], 0, -1, 0
    while at <= len(value) and length <= limit:
        ends = automaton.ends(value, at) if begins[at] else None
        if ends is None or (ends[1] == at and at == last):
            result.append(value[at : at + 1])
            at += 1
            continue
        result.append(replacement)
        length += len(replacement)
        last = ends[1]
        if not everywhere:
            return "".join(result) + value[last:]
        if last == at:
            result.append(value[at : at + 1])
            at += 1
        else:
            at = last
    return "".join(result)


def _steps(pattern: str) -> list[Step]:
    """Return the steps of a pattern. `?` and `*` do not match a newline."""
    steps: list[Step] = []
    chars = iter(pattern)
    for char in chars:
        if char == "*":
            steps.append(_STAR)
        elif char == "?":
            steps.append(_ANY)
        elif char == "\\":
            char = next(chars, "")
            if char not in ("}", "/", "*", "?", "\\"):
                raise BadValue(f"invalid pattern ({pattern}) in substitution: invalid escape '\\{char}'")
            steps.append(literal(char))
        else:
            steps.append(literal(char))
    return steps


_STAR, _ANY = star("\n".__ne__), Step("\n".__ne__)

r"""The patterns of `${NAME#pattern}` and `${NAME/pattern/word}`: `*`, `?` and `\`, no brackets.

Positions are followed all at once, as in an automaton: the time is the product of both lengths, whatever the pattern
(a translation to `re` takes exponential time for many stars).

Source: BuildKit frontend/dockerfile/shell/lex.go, convertShellPatternToRegex; POSIX XCU 2.14.
"""

from __future__ import annotations

from rootlay.vfs.build.language.errors import BadValue

_STAR, _ANY = object(), object()
_Token = object | str


def cut(pattern: str, value: str, *, longest: bool, from_end: bool) -> str:
    """Return the value without the shortest or longest match at its start or end. Raises BadValue."""
    tokens = _tokens(pattern)
    if from_end:
        tokens.reverse()
        value = value[::-1]
    ends = _ends(tokens, value, 0)
    if ends is not None:
        value = value[ends[longest] :]
    return value[::-1] if from_end else value


def replace(pattern: str, value: str, replacement: str, *, everywhere: bool) -> str:
    """Return the value with the first match, or all, replaced; matches are as long as possible. Raises BadValue.

    An empty match right behind another match does not count (as in Go).
    """
    tokens = _tokens(pattern)
    result, at, last = [], 0, -1
    while at <= len(value):
        ends = _ends(tokens, value, at)
        if ends is None or (ends[1] == at and at == last):
            result.append(value[at : at + 1])
            at += 1
            continue
        result.append(replacement)
        last = ends[1]
        if not everywhere:
            return "".join(result) + value[last:]
        if last == at:
            result.append(value[at : at + 1])
            at += 1
        else:
            at = last
    return "".join(result)


def _tokens(pattern: str) -> list[_Token]:
    tokens: list[_Token] = []
    chars = iter(pattern)
    for char in chars:
        if char == "*":
            tokens.append(_STAR)
        elif char == "?":
            tokens.append(_ANY)
        elif char == "\\":
            char = next(chars, "")
            if char not in ("}", "/", "*", "?", "\\"):
                raise BadValue(f"invalid pattern ({pattern}) in substitution: invalid escape '\\{char}'")
            tokens.append(char)
        else:
            tokens.append(char)
    return tokens


def _ends(tokens: list[_Token], value: str, start: int) -> tuple[int, int] | None:
    """Return the ends of the shortest and the longest match from `start`; None if there is none.

    `?` and `*` do not match a newline.
    """
    states = _closure({0}, tokens)
    shortest = longest = start if len(tokens) in states else -1
    for at in range(start, len(value)):
        char, following = value[at], set()
        for state in states:
            if state == len(tokens):
                continue
            token = tokens[state]
            if token is _STAR and char != "\n":
                following.add(state)
            elif (token is _ANY and char != "\n") or token == char:
                following.add(state + 1)
        if not following:
            break
        states = _closure(following, tokens)
        if len(tokens) in states:
            longest = at + 1
            shortest = longest if shortest < 0 else shortest
    return None if longest < 0 else (shortest, longest)


def _closure(states: set[int], tokens: list[_Token]) -> set[int]:
    """Add the positions after a star, which may also match nothing."""
    reached = set(states)
    for state in states:
        while state < len(tokens) and tokens[state] is _STAR:
            state += 1
            reached.add(state)
    return reached

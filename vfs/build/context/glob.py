r"""Go's filepath.Match on Unix: the wildcards of COPY and ADD, and the base of those of .dockerignore.

1. `*` is any number of characters but `/`; `?` is one character but `/`; a bare component never crosses a `/`.
2. `[a-z]`, `[^a-z]` is one character of a set, or not of it; `[^a]` can match a `/`. `\` escapes, in a set, too. `!`
   does not negate, and an empty set or a lone `-` in one is an error.
3. The whole name must match. There is no `**` here (it is `*`), and no rule for dot files.

Source: Go's path/filepath, Match; fsutil copy.ResolveWildcards.
"""

from __future__ import annotations

import functools

from rootlay.vfs.build.language.automaton import Automaton, Step, always, literal, star
from rootlay.vfs.build.language.errors import BadValue


def match(pattern: str, name: str) -> bool:
    """Return whether the whole name matches. Raises BadValue for a bad pattern."""
    return compiled(pattern).matches(name)


def has_wildcards(name: str) -> bool:
    """Return whether a path component is a pattern; escapes alone do not make one."""
    escaped = False
    for char in name:
        if not escaped and char in "*?[":
            return True
        escaped = not escaped and char == "\\"
    return False


@functools.lru_cache(maxsize=512)
def compiled(pattern: str, *, any_depth: bool = False) -> Automaton:
    """Return the automaton for whole paths; with `any_depth`, `**` is any number of directories. Raises BadValue."""
    steps: list[Step] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "[":
            step, at = _set(pattern, at)
            steps.append(step)
            continue
        if any_depth and pattern.startswith("**", at):
            at += 2
            at += pattern.startswith("/", at)
            steps += (star(always),) if at == len(pattern) else _DIRECTORIES
            continue
        if char == "\\":
            at += 1
            char = pattern[at : at + 1]
            if not char:
                raise BadValue(f"bad pattern {pattern!r}: nothing after the last '\\'")
            steps.append(literal(char))
        else:
            steps.append({"*": _STAR, "?": _ANY}.get(char) or literal(char))
        at += 1
    return Automaton(steps)


def _set(pattern: str, at: int) -> tuple[Step, int]:
    """Return the step for the set after the `[` at `at`, and the position after it. Raises BadValue."""
    at += 1
    negated = pattern[at : at + 1] == "^"
    at += negated
    ranges: list[tuple[str, str]] = []
    while not (ranges and pattern[at : at + 1] == "]"):
        low, at = _member(pattern, at)
        high = low
        if pattern[at : at + 1] == "-":
            high, at = _member(pattern, at + 1)
        ranges.append((low, high))  # a range the wrong way round is empty (Go)
    return Step(lambda char: negated != any(low <= char <= high for low, high in ranges)), at + 1


def _member(pattern: str, at: int) -> tuple[str, int]:
    """Parse one character of a set."""
    char = pattern[at : at + 1]
    if char in ("", "-", "]"):
        raise BadValue(f"bad pattern {pattern!r}: a '[' without ']', or an empty set or range")
    if char == "\\":
        at += 1
        char = pattern[at : at + 1]
    if not char or at + 1 >= len(pattern):
        raise BadValue(f"bad pattern {pattern!r}: a '[' without ']'")
    return char, at + 1


_STAR, _ANY = star("/".__ne__), Step("/".__ne__)
_DIRECTORIES = (Step(jumps=(1, 2)), Step("/".__eq__, stay=always))

r"""Go's filepath.Match on Unix: the wildcards of COPY and ADD, and the base of those of .dockerignore.

1. `*` is any number of characters but `/`; `?` is one character but `/`; a bare component never crosses a `/`.
2. `[a-z]`, `[^a-z]` is one character of a set, or not of it; `[^a]` can match a `/`. `\` escapes, in a set, too. `!`
   does not negate, and an empty set or a lone `-` in one is an error.
3. The whole name must match. There is no `**` here (it is `*`), and no rule for dot files.

Python's `re` does the matching: a pattern with many stars can be slow on a long name, but only its author is affected.

Source: Go's path/filepath, Match; fsutil copy.ResolveWildcards.
"""

from __future__ import annotations

import functools
import re

from rootlay.vfs.build.language.errors import BadValue


def match(pattern: str, name: str) -> bool:
    """Return whether the whole name matches. Raises BadValue for a bad pattern."""
    return _compiled(pattern).fullmatch(name) is not None


def has_wildcards(name: str) -> bool:
    """Return whether a path component is a pattern; escapes alone do not make one."""
    escaped = False
    for char in name:
        if not escaped and char in "*?[":
            return True
        escaped = not escaped and char == "\\"
    return False


def _translated_set(pattern: str, at: int) -> tuple[str, int]:
    """Translate the set after the `[` at `at` to one of `re`. Return it and the position after it. Raises BadValue."""
    at += 1
    negated = pattern[at : at + 1] == "^"
    at += negated
    parts: list[str] = []
    while not (parts and pattern[at : at + 1] == "]"):
        low, at = _member(pattern, at)
        high = low
        if pattern[at : at + 1] == "-":
            high, at = _member(pattern, at + 1)
        if low <= high:
            parts.append(re.escape(low) if low == high else f"{re.escape(low)}-{re.escape(high)}")
        else:
            parts.append("")  # Go: a range the wrong way round is empty
    body = "".join(parts)
    if not body:
        return ("." if negated else "(?!)"), at + 1
    return f"[{'^' if negated else ''}{body}]", at + 1


@functools.lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(translated(pattern), re.DOTALL)


def translated(pattern: str, *, any_depth: bool = False) -> str:
    """Return a regular expression for whole paths; with `any_depth`, `**` is any number of directories.

    Raises BadValue.
    """
    parts, at = [], 0
    while at < len(pattern):
        char = pattern[at]
        if char == "[":
            text, at = _translated_set(pattern, at)
            parts.append(text)
            continue
        if any_depth and pattern.startswith("**", at):
            at += 2
            at += pattern.startswith("/", at)
            parts.append(".*" if at == len(pattern) else "(?:.*/)?")
            continue
        if char == "\\":
            at += 1
            char = pattern[at : at + 1]
            if not char:
                raise BadValue(f"bad pattern {pattern!r}: nothing after the last '\\'")
            parts.append(re.escape(char))
        else:
            parts.append({"*": "[^/]*", "?": "[^/]"}.get(char) or re.escape(char))
        at += 1
    return "".join(parts)


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

"""Wildcards in the sources of COPY and ADD: Go's `filepath.Match`, component by component.

`*`, `?` and `[…]` match within a component, `\\` takes the next character as it is; with `--parents` a component `**`
stands for any number of directories. Source: golang.org/pkg/path/filepath#Match; Dockerfile reference, COPY.
"""

from __future__ import annotations

import functools
import re
import stat
from collections.abc import Iterator

from rootlay.vfs.build.source import SourceTree, join, resolve


def has_wildcard(path: str) -> bool:
    """Whether a path is a pattern. A character after `\\` is none."""
    return re.search(r"(?<!\\)(?:\\\\)*[*?\[]", path) is not None


def unescape(path: str) -> str:
    """A path without wildcards as a name."""
    return re.sub(r"\\(.)", r"\1", path)


def iter_matches(tree: SourceTree, pattern: str) -> Iterator[bytes]:
    """The paths in a tree that match, sorted by component. Links on the way are followed. Raises ValueError."""
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    yield from _walk(tree, b"/", parts)


def _walk(tree: SourceTree, directory: bytes, parts: list[str]) -> Iterator[bytes]:
    if not parts:
        yield directory
        return
    part, rest = parts[0], parts[1:]
    place = resolve(tree, directory)
    found = tree.lstat(place)
    if found is None or not stat.S_ISDIR(found.mode):
        return
    if part == "**":
        yield from _walk(tree, directory, rest)
        for name in tree.listdir(place):
            below = tree.lstat(join(place, name))
            if below is not None and stat.S_ISDIR(below.mode):
                yield from _walk(tree, join(directory, name), parts)
            elif below is not None and not rest:
                yield join(directory, name)
        return
    if not has_wildcard(part):
        path = join(directory, unescape(part).encode("utf-8", "surrogateescape"))
        if tree.lstat(resolve(tree, path)) is not None:
            yield from _walk(tree, path, rest)
        return
    expression = compile_component(part)
    for name in tree.listdir(place):
        if expression.fullmatch(name.decode("utf-8", "surrogateescape")) and tree.lstat(join(place, name)) is not None:
            yield from _walk(tree, join(directory, name), rest)


@functools.lru_cache(maxsize=1024)
def compile_component(pattern: str) -> re.Pattern[str]:
    """One component as a regular expression. Raises ValueError: a malformed pattern."""
    found, at = "", 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            found += "[^/]*"
        elif char == "?":
            found += "[^/]"
        elif char == "\\":
            if at == len(pattern):
                raise ValueError(f"malformed pattern {pattern!r}: it ends with a backslash")
            found += re.escape(pattern[at])
            at += 1
        elif char == "[":
            text, at = _class(pattern, at)
            found += text
        else:
            found += re.escape(char)
    return re.compile(found, re.DOTALL)


def _class(pattern: str, at: int) -> tuple[str, int]:
    """A character class from behind its `[`, and where it ends."""
    match = re.compile(r"(\^?)((?:\\.|[^\]\\])+)\]", re.DOTALL).match(pattern, at)
    if match is None:
        raise ValueError(f"malformed pattern {pattern!r}: a [ without its ]")
    body = re.sub(r"\\(.)|([\^\[\]&~|])", lambda m: re.escape(m[1] or m[2]), match[2])
    try:
        re.compile(f"[{body}]")
    except re.error as error:
        raise ValueError(f"malformed pattern {pattern!r}: {error}") from None
    return f"[{match[1]}{body}]", match.end()

"""The paths of a tree that a source of COPY or ADD names, by the rules of `glob`.

With `--parents` a component `**` stands for any number of directories, none included.
Source: Dockerfile reference, COPY; fsutil copy.ResolveWildcards.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator

from rootlay.vfs.build.glob import has_wildcards, match
from rootlay.vfs.build.source import SourceTree, join, resolve


def unescape(path: str) -> str:
    """A path without wildcards as a name."""
    return re.sub(r"\\(.)", r"\1", path)


def iter_matches(
    tree: SourceTree, pattern: str, start: bytes = b"/", *, follow: bool = True, deep: bool = False
) -> Iterator[bytes]:
    """The paths below a directory that match, sorted by component, without doubles.

    Args:
        follow: links on the way are followed.
        deep: `**` stands for directories.

    Raises:
        BadValue: a malformed pattern.
    """
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    yield from dict.fromkeys(_walk(tree, start, parts, follow, deep))


def _walk(tree: SourceTree, directory: bytes, parts: list[str], follow: bool, deep: bool) -> Iterator[bytes]:
    if not parts:
        yield directory
        return
    part, rest = parts[0], parts[1:]
    place = resolve(tree, directory) if follow else directory
    found = tree.lstat(place)
    if found is None or not stat.S_ISDIR(found.mode):
        return
    if deep and part == "**":
        yield from _walk_deep(tree, directory, place, rest, follow)
        return
    if not has_wildcards(part):
        path = join(directory, unescape(part).encode("utf-8", "surrogateescape"))
        if tree.lstat(resolve(tree, path) if follow else path) is not None:
            yield from _walk(tree, path, rest, follow, deep)
        return
    for name in tree.listdir(place):
        if match(part, name.decode("utf-8", "surrogateescape")) and tree.lstat(join(place, name)) is not None:
            yield from _walk(tree, join(directory, name), rest, follow, deep)


def _walk_deep(tree: SourceTree, directory: bytes, place: bytes, rest: list[str], follow: bool) -> Iterator[bytes]:
    """`**/rest`, or `**` alone: what is in a directory before it. No recursion: trees may be deep."""
    if rest:
        yield from _walk(tree, directory, rest, follow, True)
    pending = [(directory, place, iter(tree.listdir(place)))]
    while pending:
        directory, place, names = pending[-1]
        for name in names:
            below = tree.lstat(join(place, name))
            if below is None:
                continue
            path = join(directory, name)
            if stat.S_ISDIR(below.mode):
                if rest:
                    yield from _walk(tree, path, rest, follow, True)
                inner = join(place, name)
                pending.append((path, inner, iter(tree.listdir(inner))))
                break
            if not rest:
                yield path
        else:
            pending.pop()
            if not rest and pending:
                yield directory

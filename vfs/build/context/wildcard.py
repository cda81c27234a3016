"""The paths of a tree that a source of COPY or ADD names, by the rules of `glob`.

With `--parents` a component `**` stands for any number of directories, none included.
Source: Dockerfile reference, COPY; fsutil copy.ResolveWildcards.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator

from rootlay.store.disk.descent import Down, Walk, descend
from rootlay.vfs.build.context.glob import has_wildcards, match
from rootlay.vfs.build.context.source import SourceTree, join, resolve


def unescape(path: str) -> str:
    """Return a path without wildcards as a name."""
    return re.sub(r"\\(.)", r"\1", path)


def iter_matches(
    tree: SourceTree, pattern: str, start: bytes = b"/", *, follow: bool = True, deep: bool = False
) -> Iterator[bytes]:
    """Yield the paths below a directory that match, sorted by component, without duplicates.

    Args:
        follow: links on the way are followed.
        deep: `**` matches directories.

    Raises:
        BadValue: a malformed pattern.
    """
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    yield from dict.fromkeys(descend(_walk(tree, start, parts, follow, deep, set())))


def _walk(
    tree: SourceTree,
    directory: bytes,
    parts: list[str],
    follow: bool,
    deep: bool,
    seen: set[tuple[bytes, int]],
    place: bytes | None = None,
) -> Walk[bytes]:
    """Yield the matches below a directory, which is at `place` with all links resolved, if that is known.

    Several `**` reach a directory in many ways: `seen` has those that were walked, with the number of parts left.
    """
    if deep:
        if (directory, len(parts)) in seen:
            return
        seen.add((directory, len(parts)))
    if not parts:
        yield directory
        return
    part, rest = parts[0], parts[1:]
    if place is None:
        place = resolve(tree, directory) if follow else directory
    found = tree.lstat(place)
    if found is None or not stat.S_ISDIR(found.mode):
        return
    if deep and part == "**":
        if rest:
            yield Down(_walk(tree, directory, rest, follow, deep, seen, place))
        for name in tree.listdir(place):
            inner = join(place, name)
            below = tree.lstat(inner)
            if below is not None and stat.S_ISDIR(below.mode):
                yield Down(_walk(tree, join(directory, name), parts, follow, deep, seen, inner))
            if below is not None and not rest:
                yield join(directory, name)
        return
    if not has_wildcards(part):
        path = join(directory, unescape(part).encode("utf-8", "surrogateescape"))
        if tree.lstat(resolve(tree, path) if follow else path) is not None:
            yield Down(_walk(tree, path, rest, follow, deep, seen))
        return
    for name in tree.listdir(place):
        if match(part, name.decode("utf-8", "surrogateescape")) and tree.lstat(join(place, name)) is not None:
            yield Down(_walk(tree, join(directory, name), rest, follow, deep, seen))

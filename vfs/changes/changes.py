"""The changes between two states: as a list, as text, as a patch, and applied to a directory.

Rules:
1. Contents are read when they are needed, from both states: they must still exist, and must not have changed.
2. A patch is git's extended unified format (git-apply reads it). Content that is not UTF-8 text, or longer than
   TEXT_BYTES_MAX, is reported as binary: `git apply` refuses such a patch. Owners, times and extended attributes are
   not in it, nor are directories, devices, sockets and fifos; `apply` has all of them.
3. A rename is an added file with the type, the size and the content of a deleted one.
"""

from __future__ import annotations

import difflib
import hashlib
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TypeVar

from rootlay.store.model.value import value
from rootlay.vfs.changes.change import Change
from rootlay.vfs.merge.path import ImagePath
from rootlay.vfs.overlay.overlay import Overlay

TEXT_BYTES_MAX = 4 << 20
_CHUNK_BYTES = 1 << 20
_KINDS = {"A": "added", "C": "changed", "D": "deleted"}
_NO_NEWLINE = "\\ No newline at end of file\n"
T = TypeVar("T")
Opens = Callable[[], AbstractContextManager[Overlay]]


@value
class Rename:
    """A file or link that has another path now."""

    before: ImagePath
    after: ImagePath


class Changes(list[Change]):
    """The changes from one state to another, parents first, sorted by path.

    `print(changes)` shows one line for each, as `docker diff`. The texts of `stat`, `summary` and `as_patch` read the
    contents of both states.
    """

    def __init__(self, changes: Iterable[Change], before: Opens, after: Opens) -> None:
        super().__init__(changes)
        self._before = before
        self._after = after

    def __str__(self) -> str:
        return "\n".join(map(str, self))

    def _repr_html_(self) -> str:
        """Return what a notebook shows: a table of the changes."""
        from rootlay.vfs.changes.reprhtml import change_table

        return change_table(self)

    def apply(self, target: Path | str) -> list[Change]:
        """Make the same changes in a real directory. See rootlay.vfs.changes.apply, also for the return value."""
        from rootlay.vfs.changes.apply import apply_changes

        with self._after() as overlay:
            return apply_changes(self, overlay, Path(target))

    def renames(self) -> list[Rename]:
        """Return the files that were moved without a change of their content (rule 3), by their new paths."""
        gone: dict[tuple[str, int], list[Change]] = {}
        for change in self:
            if change.kind == "D" and change.before and change.type in ("file", "link"):
                gone.setdefault((change.type, change.size_before), []).append(change)
        found = []
        with ExitStack() as stack:
            before, after = stack.enter_context(self._before()), stack.enter_context(self._after())
            for change in self:
                candidates = gone.get((change.type, change.size), []) if change.kind == "A" and change.size else []
                digest = _digest(after, change.path) if candidates else b""
                for other in candidates:
                    if _digest(before, other.path) == digest:
                        candidates.remove(other)
                        found.append(Rename(other.path, change.path))
                        break
        return found

    def diff(self, path: str | bytes | ImagePath) -> str:
        """Return the change of one path as a unified diff; empty if there is no change of a content.

        Raises:
            KeyError: the path is not among the changes.
        """
        wanted = path if isinstance(path, ImagePath) else ImagePath.of(path)
        change = next((each for each in self if each.path == wanted), None)
        if change is None:
            raise KeyError(str(wanted))
        return self._with_both(lambda before, after: _patch_of(change, before, after))

    def as_patch(self) -> str:
        """Return all changes of files and links as a patch: rule 2."""
        return self._with_both(lambda before, after: "".join(_patch_of(change, before, after) for change in self))

    def stat(self, width: int = 79) -> str:
        """Return a line for each file with the numbers of added and removed lines, as `git diff --stat`."""
        rows = self._with_both(lambda before, after: [row for each in self if (row := _counts(each, before, after))])
        most = max((added + removed for _, added, removed, _ in rows), default=0)
        room = max(10, width - max((len(path) for path, *_ in rows), default=0) - 12)
        lines = [
            f" {path:{max(len(row[0]) for row in rows)}} | {text or _bar(added, removed, most, room)}"
            for path, added, removed, text in rows
        ]
        added, removed = sum(row[1] for row in rows), sum(row[2] for row in rows)
        lines.append(f" {len(rows)} files changed, {added} insertions(+), {removed} deletions(-)")
        return "\n".join(lines)

    def summary(self) -> str:
        """Return the numbers of added, changed and deleted objects by type, the bytes, and the renames."""
        counts = Counter((change.kind, change.type) for change in self)
        lines = [
            f"{_KINDS[kind]}: {count} {name or 'object'}{'s' if count != 1 else ''}"
            for (kind, name), count in sorted(counts.items())
        ]
        files = [change for change in self if change.type == "file"]
        grown = sum(change.size - change.size_before for change in files)
        lines.append(f"size: {grown:+d} bytes")
        lines += [f"renamed: {each.before} -> {each.after}" for each in self.renames()]
        return "\n".join(lines)

    def _with_both(self, work: Callable[[Overlay, Overlay], T]) -> T:
        with self._before() as before, self._after() as after:
            return work(before, after)


def _content(overlay: Overlay, path: ImagePath, most: int = TEXT_BYTES_MAX) -> bytes | None:
    """Return the content of a file or the target of a link; None if it is longer than `most`."""
    found = overlay.get(path, follow=False)
    if found.is_link:
        return overlay.context.resolver.target(found)
    with overlay.open_content(path.raw) as file:
        data = file.read(most + 1)
    return data if len(data) <= most else None


def _digest(overlay: Overlay, path: ImagePath) -> bytes:
    found = overlay.get(path, follow=False)
    if found.is_link:
        return hashlib.sha256(overlay.context.resolver.target(found)).digest()
    digest = hashlib.sha256()
    with overlay.open_content(path.raw) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.digest()


def _sides(change: Change, before: Overlay, after: Overlay) -> tuple[bytes | None, bytes | None]:
    """Return both contents of a change: None for an object that is too long; b"" where there is no file or link."""
    sides = []
    for overlay, shape in ((before, change.before), (after, change.after)):
        has = shape is not None and shape.type in ("file", "link")
        sides.append(_content(overlay, change.path) if has else b"")
    return sides[0], sides[1]


def _lines(data: bytes | None) -> list[str] | None:
    """Return the lines of a text; None if it is not one."""
    if data is None or b"\0" in data:
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return [f"{line}\n" for line in text.split("\n")[:-1]] + ([last] if (last := text.rpartition("\n")[2]) else [])


def _counts(change: Change, before: Overlay, after: Overlay) -> tuple[str, int, int, str] | None:
    """Return (path, added lines, removed lines, text in place of them); None for an object without content."""
    if not _has_content(change):
        return None
    old, new = map(_lines, _sides(change, before, after))
    if old is None or new is None:
        return str(change.path), 0, 0, f"Bin {change.size_before} -> {change.size} bytes"
    added = removed = 0
    for line in difflib.unified_diff(old, new, n=0):
        added += line.startswith("+") and not line.startswith("+++ ")
        removed += line.startswith("-") and not line.startswith("--- ")
    return str(change.path), added, removed, ""


def _bar(added: int, removed: int, most: int, room: int) -> str:
    scale = min(1.0, room / most) if most else 1.0
    plus, minus = (max(1, round(count * scale)) if count else 0 for count in (added, removed))
    return f"{added + removed} {'+' * plus}{'-' * minus}".rstrip()


def _has_content(change: Change) -> bool:
    return any(shape is not None and shape.type in ("file", "link") for shape in (change.before, change.after))


def _patch_of(change: Change, before: Overlay, after: Overlay) -> str:
    """Return the part of a patch for one change; a file in the place of a link, or the reverse, is two parts."""
    if not _has_content(change):
        return ""
    one, other = change.before, change.after
    if one is not None and other is not None and stat.S_IFMT(one.mode) != stat.S_IFMT(other.mode):
        parts = (Change("D", change.path, one), Change("A", change.path, None, other))
        return "".join(_patch_of(part, before, after) for part in parts)
    name = str(change.path).lstrip("/")
    head = [f"diff --git {_quoted(f'a/{name}')} {_quoted(f'b/{name}')}\n"]
    if one is None and other is not None:
        head.append(f"new file mode {_git_mode(other.mode)}\n")
    elif other is None and one is not None:
        head.append(f"deleted file mode {_git_mode(one.mode)}\n")
    elif one and other and _git_mode(one.mode) != _git_mode(other.mode):
        head += [f"old mode {_git_mode(one.mode)}\n", f"new mode {_git_mode(other.mode)}\n"]
    old_data, new_data = _sides(change, before, after)
    if old_data == new_data and old_data is not None:
        return "".join(head) if len(head) > 1 else ""
    old, new = _lines(old_data), _lines(new_data)
    ours = _quoted(f"a/{name}") if one is not None else "/dev/null"
    theirs = _quoted(f"b/{name}") if other is not None else "/dev/null"
    if old is None or new is None:
        return "".join((*head, f"Binary files {ours} and {theirs} differ\n"))
    return "".join((*head, *_hunks(old, new, ours, theirs)))


def _hunks(old: list[str], new: list[str], ours: str, theirs: str) -> Iterator[str]:
    for line in difflib.unified_diff(old, new, ours, theirs):
        yield line if line.endswith("\n") else f"{line}\n{_NO_NEWLINE}"


def _git_mode(mode: int) -> str:
    """Return git's mode: it knows links, and whether a file may be executed."""
    return "120000" if stat.S_ISLNK(mode) else "100755" if mode & 0o111 else "100644"


def _quoted(path: str) -> str:
    """Return a path as git writes it: in quotes if it has characters that could end it."""
    if all(c.isprintable() and c not in '"\\' for c in path):
        return path
    raw = path.encode("utf-8", "surrogateescape")
    shown = "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\' else f"\\{b:03o}" for b in raw)
    return f'"{shown}"'

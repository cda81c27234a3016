"""What a piece of code has done: its exit, its output, and the files that it changed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from rootlay.store.model.value import value
from rootlay.vfs.changes.change import Change, Kind
from rootlay.vfs.changes.compare import compare
from rootlay.vfs.held.watch import Usage
from rootlay.vfs.overlay.overlay import Overlay

CONTENT_BYTES_MAX = 1 << 16
"""Longer contents are left out of a result."""
CONTENTS_BYTES_MAX = 4 << 20
CHANGES_MAX = 1000


@value
class FileChange:
    """A changed object. `kind` is A, C or D; `type`, `size` and `mode` are as in Change.

    `before` and `after` are the contents of a file; None where there is none, or it is longer than CONTENT_BYTES_MAX.
    """

    kind: Kind
    path: str
    type: str
    size: int
    mode: int | None
    before: bytes | None = None
    after: bytes | None = None

    @property
    def text(self) -> str | None:
        """The content as text; None if it is not UTF-8, or is not here."""
        try:
            return None if self.after is None else self.after.decode("utf-8")
        except UnicodeDecodeError:
            return None

    def diff(self) -> str:
        """Return a unified diff; empty if a content is missing or is not text."""
        try:
            old, new = ((side or b"").decode("utf-8").splitlines(keepends=True) for side in (self.before, self.after))
        except UnicodeDecodeError:
            return ""
        lines = difflib.unified_diff(old, new, f"a{self.path}", f"b{self.path}")
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


@value
class Result:
    """The end of a piece of code.

    `exit` is the exit code, or -n if signal n ended it. `truncated`: output was dropped; `exceeded`: the limit that
    it reached, see Completed. `changes` are in the order of a diff, without directories that only hold changes;
    `changes_truncated`: there are more than CHANGES_MAX.
    """

    exit: int
    stdout: str
    stderr: str
    truncated: bool = False
    exceeded: str = ""
    changes: tuple[FileChange, ...] = ()
    changes_truncated: bool = False
    usage: Usage = Usage()

    @property
    def ok(self) -> bool:
        """Whether it ended with exit code 0."""
        return self.exit == 0


def capture(before: Overlay, after: Overlay, given: Mapping[str, bytes]) -> tuple[tuple[FileChange, ...], bool]:
    """Return the changes between two states with their contents, and whether some are left out.

    Args:
        given: files that the caller has put there, by their paths; they count only if they were changed.
    """
    found: list[FileChange] = []
    room = CONTENTS_BYTES_MAX
    for change in _wanted(before, after, given):
        if len(found) == CHANGES_MAX:
            return tuple(found), True
        sides = [
            _content(overlay, change, min(room, CONTENT_BYTES_MAX))
            if shape is not None and shape.type == "file"
            else None
            for overlay, shape in ((before, change.before), (after, change.after))
        ]
        path = str(change.path)
        if path in given:
            if sides[1] == given[path]:
                continue
            sides[0] = given[path]
        room -= sum(len(side or b"") for side in sides)
        found.append(FileChange(change.kind, path, change.type, change.size, change.mode, *sides))
    return tuple(found), False


def _wanted(before: Overlay, after: Overlay, given: Mapping[str, bytes]) -> Iterator[Change]:
    above = {path[:at] for path in given for at in range(1, len(path)) if path[at] == "/"}
    for change in compare(before, after):
        if change.type == "directory" and (change.kind == "C" or str(change.path) in above):
            continue
        yield change


def _content(overlay: Overlay, change: Change, most: int) -> bytes | None:
    try:
        with overlay.open_content(change.path.raw) as file:
            data = file.read(most + 1)
    except OSError:
        return None
    return data if len(data) <= most else None

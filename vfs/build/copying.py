"""COPY and ADD: from sources to the plan of a layer.

Rules (moby/buildkit solver/llbsolver/file/backend.go and tonistiigi/fsutil copy/copy.go):
1. A directory as the source means its content. Its own attributes are not copied to the target; those of the
   directories in it are, over what is there.
2. A source that is a symbolic link is followed, inside its tree; links further down are copied as links.
3. A file goes into a target that is a directory or ends with `/`, under its own name; else it becomes the target.
4. The target's links are followed, inside the image. Missing directories are made with 0755, for --chown's owner.
5. Files that have several names stay one file, as far as those names are copied by one instruction.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from rootlay.store.entry import Entry, EntryType
from rootlay.vfs.build.chmodspec import ModeChange
from rootlay.vfs.build.layerplan import ENTRY_TYPES, LayerPlan, Planned
from rootlay.vfs.build.owner import Owner
from rootlay.vfs.build.source import SourceEntry, SourceTree, join, resolve
from rootlay.vfs.build.wildcard import has_wildcard, iter_matches, unescape

HEREDOC_MODE = 0o644

Excluded = Callable[[bytes], bool]
"""Whether a path (`a/b`, relative to the source) is left out."""


class MissingSource(ValueError):
    """A source that is not there. The message is for the user."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path}: no such file or directory in the source")
        self.path = path


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """What the flags say. `made_ns`: the time of what has no source, such as heredocs."""

    owner: Owner | None = None
    mode: ModeChange | None = None
    excluded: Excluded | None = None
    parents: bool = False
    made_ns: int = 0


class Copier:
    """Fills one plan. `destination` is absolute; a `/` at its end says that it is a directory."""

    def __init__(self, plan: LayerPlan, destination: str, options: CopyOptions) -> None:
        self._plan = plan
        self._options = options
        raw = destination.encode("utf-8", "surrogateescape")
        self._is_directory = raw.endswith((b"/", b"/.", b"/.."))
        self._destination = raw
        self._unmatched: list[str] = []

    @property
    def unmatched(self) -> Sequence[str]:
        """Patterns that nothing fitted, so that nothing was copied for them."""
        return self._unmatched

    def copy(self, tree: SourceTree, path: str) -> None:
        """Copy one source, which may be a pattern.

        Raises:
            MissingSource: it is not there (a pattern without a match is none).
            Conflict, ValueError: it cannot go there; a malformed pattern.
            OSError: it cannot be read.
        """
        for match in self._matches(tree, path):
            self._copy_match(tree, match, path)

    def _matches(self, tree: SourceTree, path: str) -> list[bytes]:
        if not has_wildcard(path):
            return [clean(unescape(path).encode("utf-8", "surrogateescape"))]
        found = list(iter_matches(tree, path))
        if not found:
            self._unmatched.append(path)
        return found

    def _copy_match(self, tree: SourceTree, match: bytes, asked: str) -> None:
        followed = resolve(tree, match)
        found = tree.lstat(followed)
        if found is None:
            raise MissingSource(asked)
        target = resolve(self._plan, self._destination)
        name = match.rpartition(b"/")[2]
        if stat.S_ISDIR(found.mode):
            self._make_directories(target)
            self._copy_content(tree, followed, b"", target)
            return
        if self._options.excluded is not None and self._options.excluded(name):
            return
        if self._is_directory or self._plan.is_directory(target):
            target = resolve(self._plan, join(target, name))
        self._make_directories(target.rpartition(b"/")[0] or b"/")
        self._add(tree, followed, found, target)

    def _copy_content(self, tree: SourceTree, directory: bytes, relative: bytes, target: bytes) -> None:
        """Everything in a directory of the source into one that is in the plan, or below it."""
        excluded = self._options.excluded
        for name in tree.listdir(directory):
            path = join(directory, name)
            found = tree.lstat(path)
            if found is None:
                continue
            inner = relative + b"/" + name if relative else name
            place = join(target, name)
            if not stat.S_ISDIR(found.mode):
                if excluded is None or not excluded(inner):
                    self._add(tree, path, found, place)
                continue
            # Something in an excluded directory may be taken in again (`!`): then the directory comes with it.
            if excluded is not None and excluded(inner) and not self._keeps_some(tree, path, inner):
                continue
            self._add(tree, path, found, place)
            self._copy_content(tree, path, inner, place)

    def _keeps_some(self, tree: SourceTree, directory: bytes, relative: bytes) -> bool:
        """Whether something below an excluded directory is not excluded."""
        excluded = self._options.excluded
        for name in tree.listdir(directory):
            inner = relative + b"/" + name
            if excluded is None or not excluded(inner):
                return True
            found = tree.lstat(join(directory, name))
            if found is not None and stat.S_ISDIR(found.mode) and self._keeps_some(tree, join(directory, name), inner):
                return True
        return False

    def _make_directories(self, path: bytes) -> None:
        owner = self._options.owner or Owner()
        self._plan.make_directories(path, owner.uid, owner.gid)

    def _add(self, tree: SourceTree, path: bytes, found: SourceEntry, target: bytes) -> None:
        kind = ENTRY_TYPES[stat.S_IFMT(found.mode)]
        owner = self._options.owner or Owner(found.uid, found.gid)
        mode = found.mode
        if self._options.mode is not None and kind is not EntryType.SYMLINK:
            mode = self._options.mode.apply(mode)
        entry = Entry(
            kind, mode=stat.S_IMODE(mode), uid=owner.uid, gid=owner.gid, size=found.size, mtime_ns=found.mtime_ns,
            major=found.device[0], minor=found.device[1], xattrs=tree.xattrs(path),
            link=tree.readlink(path) if kind is EntryType.SYMLINK else b"",
        )  # fmt: skip
        identity = None if found.identity is None else (id(tree), found.identity)
        opener = partial(tree.open, path) if kind is EntryType.FILE else None
        self._plan.add(target, Planned(entry, opener, found.stamp, identity))

    def write(self, name: str, content: bytes) -> None:
        """A heredoc as a file. Raises Conflict."""
        target = resolve(self._plan, self._destination)
        if self._is_directory or self._plan.is_directory(target):
            target = join(target, name.encode("utf-8", "surrogateescape"))
        self._make_directories(target.rpartition(b"/")[0] or b"/")
        owner = self._options.owner or Owner()
        mode = HEREDOC_MODE
        if self._options.mode is not None:
            mode = stat.S_IMODE(self._options.mode.apply(stat.S_IFREG | mode))
        entry = Entry(
            EntryType.FILE, mode=mode, uid=owner.uid, gid=owner.gid, size=len(content), mtime_ns=self._options.made_ns
        )
        self._plan.add(target, Planned(entry, partial(io.BytesIO, content)))


def clean(path: bytes) -> bytes:
    """An absolute path without `.`, `..` and double slashes; `..` stops at the root."""
    return os.path.normpath(b"/" + path.lstrip(b"/"))


def absolute(path: str, working_dir: str) -> str:
    """A target as an absolute path, its `/` at the end kept."""
    if path.startswith("/"):
        return path
    directory = working_dir or "/"
    return directory.rstrip("/") + "/" + path if path not in ("", ".") else directory.rstrip("/") + "/"

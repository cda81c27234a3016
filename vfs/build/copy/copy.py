"""COPY and ADD: from sources to the plan of a layer.

Rules (moby/buildkit solver/llbsolver/file/backend.go and tonistiigi/fsutil copy/copy.go):
1. A directory as the source means its content. Its own attributes are not copied to the target; those of the
   directories in it are copied, over existing ones.
2. A source that is a symbolic link is followed, inside its tree; links further down are copied as links.
3. If the target is a directory or ends with `/`, a file is copied into it, under its own name; else it becomes the
   target.
4. The target's `.` and `..` are removed first, then its links are followed, inside the image. A link that has the name
   of a file in the target directory is replaced. Missing directories are made with 0755 and the owner of --chown.
5. A file with several names stays one file if one instruction copies those names.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rootlay.store.model.entry import ENTRY_TYPES, Entry, EntryType
from rootlay.store.model.errors import CopiedByFields
from rootlay.vfs.build.context.glob import has_wildcards
from rootlay.vfs.build.context.source import SourceEntry, SourceTree, clean, join, resolve
from rootlay.vfs.build.context.wildcard import iter_matches, unescape
from rootlay.vfs.build.copy.layerplan import LayerPlan
from rootlay.vfs.build.copy.options import CopyOptions
from rootlay.vfs.build.copy.owner import Owner
from rootlay.vfs.build.copy.planentry import FileContent, Planned
from rootlay.vfs.build.copy.unpack import Unpacker, is_archive

HEREDOC_MODE = 0o644


class MissingSource(CopiedByFields, ValueError):
    """A source does not exist. The message is for the user."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path}: no such file or directory in the source")
        self.path = path


class Copier:
    """The copies of one plan.

    Args:
        destination: absolute; a `/` at its end means that it is a directory.
        staging: a directory for unpacked archives, which stays until the plan is written.
    """

    def __init__(self, plan: LayerPlan, destination: str, options: CopyOptions, staging: Path) -> None:
        self._plan = plan
        self._staging = staging
        self._options = options
        raw = destination.encode("utf-8", "surrogateescape")
        self._is_directory = raw.endswith((b"/", b"/."))
        self._destination = clean(raw)
        self._unmatched: list[str] = []
        self._trees: dict[int, SourceTree] = {}  # kept, because their identities must differ

    @property
    def unmatched(self) -> Sequence[str]:
        """Patterns without a match, so that nothing was copied for them."""
        return self._unmatched

    def copy(self, tree: SourceTree, path: str, *, unpack: bool = False) -> None:
        """Copy one source, which may be a pattern. `unpack`: archives are extracted.

        Raises:
            MissingSource: the source does not exist (a pattern without a match is not an error).
            Conflict, ValueError: the target is not possible; a malformed pattern.
            OSError: the source cannot be read.
        """
        if self._options.parents:
            self._copy_with_parents(tree, path)
            return
        for match in self._matches(tree, path):
            self._copy_match(tree, match, path, unpack=unpack)

    def _matches(self, tree: SourceTree, path: str) -> list[bytes]:
        if not any(map(has_wildcards, path.split("/"))):
            return [clean(unescape(path).encode("utf-8", "surrogateescape"))]
        found = list(iter_matches(tree, path))
        if not found:
            self._unmatched.append(path)
        return found

    def bring(self, tree: SourceTree, path: bytes) -> None:
        """Copy the object at a path, which is not a pattern. Raises as `copy`."""
        self._copy_match(tree, path, os.fsdecode(path), unpack=False)

    def _copy_match(self, tree: SourceTree, match: bytes, asked: str, *, unpack: bool) -> None:
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
        if unpack and stat.S_ISREG(found.mode) and self._unpack(tree, followed, target):
            return
        if self._is_directory or self._plan.is_directory(target):
            target = join(target, name)
        self._make_directories(target.rpartition(b"/")[0] or b"/")
        self._add(tree, followed, found, target)

    def _unpack(self, tree: SourceTree, path: bytes, target: bytes) -> bool:
        """Extract an archive into the target. Return False if it is not an archive."""
        if not is_archive(partial(tree.open, path)):
            return False
        Unpacker(self._plan, target, self._options, self._staging).unpack(partial(tree.open, path), os.fsdecode(path))
        return True

    def _copy_with_parents(self, tree: SourceTree, path: str) -> None:
        """Copy each match to TARGET/PATH (--parents); the part before a component `.` (the pivot) is left out.

        No links are followed in the source; new directories on the way have the source's attributes.
        """
        front, pivot, pattern = path.rpartition("/./")
        start = clean(front.encode("utf-8", "surrogateescape")) if pivot else b"/"
        matches = list(iter_matches(tree, pattern, start, follow=False, deep=True))
        if not matches and not any(map(has_wildcards, pattern.split("/"))):
            raise MissingSource(path)
        if not matches:
            self._unmatched.append(path)
        base = resolve(self._plan, self._destination)
        for match in matches:
            self._make_directories(base)
            relative = match[len(start) :].lstrip(b"/")
            excluded = self._options.excluded
            if excluded is not None and excluded(relative):
                continue
            self._bring_parents(tree, start, relative, base)
            found = tree.lstat(match)
            target = join(base, relative) if relative else base
            if found is not None and relative:
                self._add(tree, match, found, target)
            if found is not None and stat.S_ISDIR(found.mode):
                self._copy_content(tree, match, relative, target)

    def _bring_parents(self, tree: SourceTree, start: bytes, relative: bytes, base: bytes) -> None:
        parts = relative.split(b"/")[:-1]
        for end in range(1, len(parts) + 1):
            inner = b"/".join(parts[:end])
            found = tree.lstat(join(start, inner))
            if found is not None and not self._plan.is_directory(join(base, inner)):
                self._add(tree, join(start, inner), found, join(base, inner))

    def _copy_content(self, tree: SourceTree, directory: bytes, relative: bytes, target: bytes) -> None:
        """Copy everything in a directory of the source to one that is in the plan, or below it."""
        excluded = self._options.excluded
        pending = [(directory, relative, target)]
        while pending:
            directory, relative, target = pending.pop()
            for name in tree.listdir(directory):
                path = join(directory, name)
                found = tree.lstat(path)
                if found is None:
                    continue
                inner = relative + b"/" + name if relative else name
                place = join(target, name)
                is_directory = stat.S_ISDIR(found.mode)
                # Something in an excluded directory may be included again (`!`): then the directory is copied, too.
                if excluded is None or not excluded(inner) or (is_directory and self._keeps_some(tree, path, inner)):
                    self._add(tree, path, found, place)
                    if is_directory:
                        pending.append((path, inner, place))

    def _keeps_some(self, tree: SourceTree, directory: bytes, relative: bytes) -> bool:
        """Return whether something below an excluded directory is not excluded."""
        excluded = self._options.excluded
        pending = [(directory, relative)]
        while pending:
            directory, relative = pending.pop()
            for name in tree.listdir(directory):
                inner = relative + b"/" + name
                if excluded is None or not excluded(inner):
                    return True
                found = tree.lstat(join(directory, name))
                if found is not None and stat.S_ISDIR(found.mode):
                    pending.append((join(directory, name), inner))
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
        self._trees[id(tree)] = tree
        identity = None if found.identity is None else repr((id(tree), found.identity)).encode()
        content = FileContent(tree.open, path) if kind is EntryType.FILE else None
        self._plan.add(target, Planned(entry, content, found.stamp, identity))

    def write(self, name: str, content: bytes) -> None:
        """Write a heredoc as a file. Raises Conflict."""
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
        self._plan.add(target, Planned(entry, FileContent(lambda _: io.BytesIO(content))))


def absolute(path: str, working_dir: str) -> str:
    """Return a target as an absolute path, its `/` at the end kept."""
    if path.startswith("/"):
        return path
    directory = working_dir or "/"
    return directory.rstrip("/") + "/" + path if path not in ("", ".") else directory.rstrip("/") + "/"

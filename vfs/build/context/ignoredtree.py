"""A build context without the files that `.dockerignore` leaves out.

A directory that is left out still exists if something in it is included again (`!`): see `ignore`, rule 4.
"""

from __future__ import annotations

import os
import stat
from typing import BinaryIO

from rootlay.store.model.entry import Xattrs
from rootlay.vfs.build.context.ignore import IgnoreRules, Match
from rootlay.vfs.build.context.source import SourceEntry, SourceTree, join


class IgnoringTree:
    """A SourceTree over another one. Paths that are left out do not exist."""

    def __init__(self, tree: SourceTree, rules: IgnoreRules) -> None:
        self._tree = tree
        self._rules = rules
        # Of directories only: each file is looked up about once.
        self._matches: dict[bytes, Match] = {}
        self._visible: set[bytes] = set()  # directories that are left out except for something in them

    def lstat(self, path: bytes) -> SourceEntry | None:
        found = self._tree.lstat(path)
        if found is None or path == b"/":
            return found
        directory = stat.S_ISDIR(found.mode)
        match = self._match(path, keep=directory)
        if not match.excluded or (directory and self._has_visible(path)):
            return found
        return None

    def _match(self, path: bytes, *, keep: bool) -> Match:
        known = self._matches.get(path)
        if known is not None:
            return known
        parent: Match | None = None
        end = 0
        while end < len(path):  # from the top, because the result for a directory is needed for its content
            end = path.find(b"/", end + 1)
            end = len(path) if end < 0 else end
            known = self._matches.get(path[:end])
            if known is None:
                known = self._rules.match(os.fsdecode(path[1:end]), parent)
                if keep or end < len(path):
                    self._matches[path[:end]] = known
            parent = known
        assert known is not None  # the root has no match
        return known

    def _has_visible(self, directory: bytes) -> bool:
        """Return whether an excluded directory holds something that is not excluded."""
        if directory in self._visible:
            return True
        top = directory
        pending = [top]
        while pending:
            directory = pending.pop()
            if not self._rules.may_take_back(os.fsdecode(directory[1:])):
                continue
            for name in self._tree.listdir(directory):
                path = join(directory, name)
                found = self._tree.lstat(path)
                if found is None:
                    continue
                is_directory = stat.S_ISDIR(found.mode)
                if not self._match(path, keep=is_directory).excluded:
                    while len(directory) >= len(top):
                        self._visible.add(directory)
                        directory = directory.rpartition(b"/")[0]
                    return True
                if is_directory:
                    pending.append(path)
        return False

    def readlink(self, path: bytes) -> bytes:
        return self._tree.readlink(path)

    def listdir(self, path: bytes) -> list[bytes]:
        return [name for name in self._tree.listdir(path) if self.lstat(join(path, name)) is not None]

    def xattrs(self, path: bytes) -> Xattrs:
        return self._tree.xattrs(path)

    def open(self, path: bytes) -> BinaryIO:
        return self._tree.open(path)

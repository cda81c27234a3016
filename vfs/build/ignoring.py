"""A build context without what `.dockerignore` leaves out.

A directory that is left out is still there if something in it was taken back (`!`): see `ignore`, rule 4.
"""

from __future__ import annotations

import os
import stat
from typing import BinaryIO

from rootlay.store.entry import Xattrs
from rootlay.vfs.build.ignore import IgnoreRules, Match
from rootlay.vfs.build.source import SourceEntry, SourceTree, join


class IgnoringTree:
    """A SourceTree over another one. Paths that are left out do not exist."""

    def __init__(self, tree: SourceTree, rules: IgnoreRules) -> None:
        self._tree = tree
        self._rules = rules
        # Of directories only: each file is asked for about once.
        self._matches: dict[bytes, Match] = {}

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
        if known is None:
            directory = path.rpartition(b"/")[0]
            parent = self._match(directory, keep=True) if directory else None
            known = self._rules.match(os.fsdecode(path[1:]), parent)
            if keep:
                self._matches[path] = known
        return known

    def _has_visible(self, directory: bytes) -> bool:
        """Whether a directory that is left out holds something that is not."""
        if not self._rules.may_take_back(os.fsdecode(directory[1:])):
            return False
        return any(self.lstat(join(directory, name)) is not None for name in self._tree.listdir(directory))

    def readlink(self, path: bytes) -> bytes:
        return self._tree.readlink(path)

    def listdir(self, path: bytes) -> list[bytes]:
        return [name for name in self._tree.listdir(path) if self.lstat(join(path, name)) is not None]

    def xattrs(self, path: bytes) -> Xattrs:
        return self._tree.xattrs(path)

    def open(self, path: bytes) -> BinaryIO:
        return self._tree.open(path)

"""Prediction of the next copied-up files: those behind the last ones in the order of a walk through the tree.

`chmod -R`, `chown -R`, `find` and shells copy up the files of a tree, directory by directory, in the order in which
the engine lists them, or sorted by name. A stream counts from its second request on, and the distance grows with each
correct prediction.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Protocol

from rootlay.store.view.native import ROOT_ID, list_position

GAP_MAX = 8
FIRST_WINDOW = 8
WINDOW_MAX = 512
_DIRECTORIES_MAX = 64


class Tree(Protocol):
    """The needs of this module from a native view."""

    def key(self, entry_id: int, /) -> tuple[int, bytes]:
        """Return parent id and name of an entry."""

    def children(self, entry_id: int, /) -> Sequence[int]:
        """Return the ids of a directory's children, which are sorted by name."""

    def list_types(self, entry_id: int, /) -> list[tuple[bytes, int]]:
        """Return names and st_mode types of a directory's children, sorted by name."""


class WalkOrder:
    """The latest stream of requests."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._last = 0
        self._by_name = False
        self._window = 0
        self._orders: dict[tuple[int, bool], list[tuple[int, bool]]] = {}

    def asked(self, entry_id: int) -> Iterator[int]:
        """Note the request of a file. Returns the ids of the files that are probably requested next, in their order.

        Call `sent` with the last of them that was sent. Raises LookupError, CorruptStore.
        """
        last, self._last = self._last, entry_id
        for by_name in (self._by_name, not self._by_name) if last else ():
            if entry_id in islice(self._files_behind(last, by_name), GAP_MAX):
                self._by_name = by_name
                self._window = min(2 * self._window, WINDOW_MAX) or FIRST_WINDOW
                return islice(self._files_behind(entry_id, by_name), self._window)
        self._window = 0
        return iter(())

    def sent(self, entry_id: int) -> None:
        """Note that the files up to this one need no request."""
        self._last = entry_id

    def _files_behind(self, entry_id: int, by_name: bool) -> Iterator[int]:
        """Yield the files behind an entry: the rest of its directory, then that of the directory above it."""
        while entry_id != ROOT_ID:
            parent, _ = self._tree.key(entry_id)
            siblings = iter(self._order(parent, by_name))
            for number, _ in siblings:
                if number == entry_id:
                    break
            yield from self._files_in(siblings, by_name)
            entry_id = parent

    def _files_in(self, entries: Iterator[tuple[int, bool]], by_name: bool) -> Iterator[int]:
        stack = [entries]
        while stack:
            for number, directory in stack[-1]:
                if directory:
                    stack.append(iter(self._order(number, by_name)))
                    break
                yield number
            else:
                stack.pop()

    def _order(self, directory: int, by_name: bool) -> list[tuple[int, bool]]:
        """Return the files and directories of a directory: their ids, and whether they are directories."""
        key = directory, by_name
        if key not in self._orders:
            found = list(zip(self._tree.children(directory), self._tree.list_types(directory), strict=True))
            if not by_name:
                found.sort(key=lambda child: list_position(child[1][0]))
            if len(self._orders) >= _DIRECTORIES_MAX:
                self._orders.clear()
            self._orders[key] = [
                (number, stat.S_ISDIR(kind)) for number, (_, kind) in found if stat.S_ISDIR(kind) or stat.S_ISREG(kind)
            ]
        return self._orders[key]

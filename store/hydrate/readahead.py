"""Prediction of the next requested files: requests that follow each other in the order of the view's ids.

Ids are given level by level, the names of a directory in their order. So a program that walks a tree requests rising
ids, in as many streams as the tree has levels. As in a disk's read-ahead, a stream counts from its second request on,
and the distance grows with each correct prediction.
"""

from __future__ import annotations

from collections import OrderedDict

STREAMS_MAX = 16
GAP_MAX = 64
FIRST_WINDOW = 32
WINDOW_MAX = 1024


class Streams:
    """The latest streams."""

    __slots__ = ("_windows",)

    def __init__(self) -> None:
        #: The last id of each stream, least recently used first, and its read-ahead distance.
        self._windows: OrderedDict[int, int] = OrderedDict()

    def asked(self, entry_id: int) -> int:
        """Note the request of an entry. Return how many of the following ids are worth making, 0 for none."""
        window = 0
        for last, reach in reversed(self._windows.items()):
            if last < entry_id <= last + max(GAP_MAX, reach + GAP_MAX):
                window = min(2 * reach, WINDOW_MAX) or FIRST_WINDOW
                del self._windows[last]
                break
        self._windows[entry_id] = window
        self._windows.move_to_end(entry_id)
        if len(self._windows) > STREAMS_MAX:
            self._windows.popitem(last=False)
        return window

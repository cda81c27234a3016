"""Which files will be asked for next: requests that follow each other in the order of the view's ids.

Ids are given level by level, the names of a directory in their order, so that a program that goes through a tree asks
for rising ids, in as many streams as the tree has levels. As a disk's read-ahead: a stream is believed from its second
request on, and the more it keeps its promise the farther the look ahead.
"""

from __future__ import annotations

from collections import OrderedDict

STREAMS_MAX = 16
GAP_MAX = 64
FIRST_WINDOW = 32
WINDOW_MAX = 1024


class Streams:
    """The streams that were seen lately."""

    __slots__ = ("_windows",)

    def __init__(self) -> None:
        #: The last id of each stream, least recently used first, and how far to look ahead there.
        self._windows: OrderedDict[int, int] = OrderedDict()

    def asked(self, entry_id: int) -> int:
        """An entry has been asked for. How many of the ids that follow it are worth making, 0 for none."""
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

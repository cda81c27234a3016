"""The real files of a view's entries, for the hydrator process: made as they are asked for, and a little before.

Rules:
1. Heavy modules are imported on the first request.
2. Looking ahead begins where requests follow each other (rootlay.store.readahead), so that a program that opens a few
   files costs the disk no more than those; and not on a disk that is nearly full.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rootlay.store.hydrate import Hydrator
    from rootlay.store.hydrateahead import Ahead
    from rootlay.store.readahead import Streams

STEP_SECONDS = 0.001
#: So many requests that followed others make it worth knowing which files are in which segment.
SEGMENTS_AFTER = 8
JOBS_MAX = 8
FREE_PERCENT_MIN = 5


class LowerFiles:
    """What a hydrator serves: the lower files of one container."""

    def __init__(self, root: Path, chain: str) -> None:
        self._root, self._chain = root, chain
        self._hydrator: Hydrator | None = None
        self._streams: Streams | None = None
        self._ahead: Ahead | None = None
        self._jobs: deque[Iterator[int]] = deque()
        self._stream: Iterator[int] | None = None  # one of the jobs
        self._begun = self._reached = self._goal = 0  # ids of that stream: its start, how far it is, where it ends
        self._followed = 0

    def hydrate(self, entry: int) -> None:
        """Make a view entry's real path exist. Raises OSError with the errno that the program is to see."""
        from rootlay.store.errors import StoreError

        try:
            if self._hydrator is None or self._streams is None:
                from rootlay.store.attach import open_lower
                from rootlay.store.readahead import Streams

                self._hydrator = open_lower(self._root, self._chain)[1]
                self._streams = Streams()
            self._hydrator.hydrate(entry)
        except StoreError as error:
            raise OSError(errno.EIO, str(error)) from error
        window = self._streams.asked(entry)
        if window and self._has_room():
            self._followed += 1
            if self._ahead is None:
                self._ahead = self._hydrator.ahead()
            self._look_ahead(self._ahead, entry, entry + window)
        if self._ahead is not None and self._followed >= SEGMENTS_AFTER and len(self._jobs) < JOBS_MAX:
            first = self._followed == SEGMENTS_AFTER and window
            self._jobs.append(self._ahead.iter_index() if first else self._ahead.iter_segment(entry))

    def _look_ahead(self, ahead: Ahead, entry: int, goal: int) -> None:
        """Start a stream of ids, or let the one at hand go on."""
        follows = self._begun <= entry <= self._goal
        self._goal = goal
        if follows and self._stream is not None:
            return
        if self._stream is not None:
            self._jobs.remove(self._stream)
        if not follows:
            self._begun = self._reached = entry
        self._stream = self._follow(ahead, max(entry, self._reached))
        self._jobs.appendleft(self._stream)

    def _follow(self, ahead: Ahead, start: int) -> Iterator[int]:
        for reached in ahead.iter_from(start, lambda: self._goal):
            self._reached = reached
            yield reached
        self._stream = None

    def work_ahead(self) -> bool:
        """Make a little of what will probably be asked for. False: there is nothing to do."""
        until = time.monotonic() + STEP_SECONDS
        while self._jobs:
            # Whoever needs what cannot be made will hear of it.
            with contextlib.suppress(OSError, LookupError, ValueError):
                for _ in self._jobs[0]:
                    if time.monotonic() > until:
                        return True
            if self._jobs.popleft() is self._stream:
                self._stream = None
        return False

    def _has_room(self) -> bool:
        disk = os.statvfs(self._root)
        return disk.f_bavail * 100 > disk.f_blocks * FREE_PERCENT_MIN

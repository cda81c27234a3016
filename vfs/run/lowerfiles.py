"""The real files of a view's entries, for the hydrator process: made on request, and a little ahead.

Rules:
1. Heavy modules are imported on the first request, or when there are files to make before it (rule 3).
2. Readahead begins when requests follow each other (store.hydrate.readahead), so that a program that opens a few files
   writes only those to the disk. There is no readahead on a disk that is nearly full.
3. When the session ends, the requested files are listed (store.hydrate.prefetchhints). If such a list exists and the
   files do not, they are made from the start on, in that order, between the requests.
4. A small file that is copied up is not hydrated: its content is sent (store.hydrate.contents).
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rootlay.store.bundle.reader import BundleView
    from rootlay.store.hydrate.ahead import Ahead
    from rootlay.store.hydrate.contents import Contents
    from rootlay.store.hydrate.hydrator import Hydrator
    from rootlay.store.hydrate.prefetchhints import PrefetchHints
    from rootlay.store.hydrate.readahead import Streams
    from rootlay.store.view.view import View

STEP_SECONDS = 0.001
#: From this number of successive requests on, the map from segments to files is worth its time.
SEGMENTS_AFTER = 8
JOBS_MAX = 8
ASKED_MAX = 4096
FREE_PERCENT_MIN = 5
#: A request may have to wait for a file that readahead makes.
BEFOREHAND_BYTES_MAX = 16 << 20


class LowerFiles:
    """The lower files of one container, which a hydrator serves."""

    def __init__(self, root: Path, chain: str) -> None:
        self._root, self._chain = root, chain
        self._view: View | BundleView | None = None
        self._hydrator: Hydrator | None = None
        self._streams: Streams | None = None
        self._contents: Contents | None = None
        self._ahead: Ahead | None = None
        self._jobs: deque[Iterator[int]] = deque()
        self._stream: Iterator[int] | None = None  # one of the jobs
        self._begun = self._reached = self._goal = 0  # ids of that stream: its start, its position, its end
        self._followed = 0
        self._image = ""
        self._known: PrefetchHints | None = None
        self._asked: list[int] = []
        self._beforehand = False

    def begin(self, image: str) -> None:
        """Check whether hints exist for this image, or for an earlier image of its name."""
        from rootlay.store.hydrate.prefetchhints import find_prefetch_hints, find_prefetch_hints_by_name

        views = self._root / "views"
        self._image = image
        self._known = find_prefetch_hints(views, self._hex())
        if self._known is not None and self._known.still_there(self._root / "layers"):
            return
        self._known = self._known or find_prefetch_hints_by_name(views, image)
        if self._known is not None and self._has_room():
            self._beforehand = True
            self._jobs.append(self._make_beforehand(self._known.paths))

    def end(self) -> None:
        """Record the requested files, if there are any."""
        from rootlay.store.hydrate.prefetchhints import PATHS_MAX, PrefetchHints, has_hydrated, write_prefetch_hints

        if self._view is None or self._hydrator is None or not (self._asked or self._beforehand):
            return
        before = self._known.paths if self._known is not None else ()
        found = (self._hydrator.file_path(entry) for entry in self._asked)
        paths = dict.fromkeys([*before, *(path for path in found if path is not None)])
        layers = (layer.hex for layer in self._view.layers)
        trees = tuple(name for name in layers if has_hydrated(self._root / "layers" / name))
        write_prefetch_hints(self._root, self._hex(), PrefetchHints(self._image, trees, tuple(paths)[:PATHS_MAX]))

    def _hex(self) -> str:
        return self._chain.rpartition(":")[2]

    def _open(self) -> tuple[View | BundleView, Hydrator]:
        from rootlay.store.store import open_lower

        if self._view is None or self._hydrator is None:
            self._view, self._hydrator = open_lower(self._root, self._chain)
        return self._view, self._hydrator

    def _make_beforehand(self, paths: Sequence[bytes]) -> Iterator[int]:
        from rootlay.store.model.entry import EntryType
        from rootlay.store.model.errors import RootlayError

        try:
            view, hydrator = self._open()
        except RootlayError:  # the first request will decide
            return
        for path in paths:
            with contextlib.suppress(OSError, LookupError, ValueError, RootlayError):
                node = view.find_path(path)
                if node is not None and node.type is EntryType.FILE and node.size <= BEFOREHAND_BYTES_MAX:
                    hydrator.hydrate(node.id)
            yield 0

    def hydrate(self, entry: int) -> None:
        """Make a view entry's real path exist. Raises OSError with the errno for the program."""
        from rootlay.store.model.errors import RootlayError

        try:
            hydrator = self._open()[1]
            hydrator.hydrate(entry)
        except RootlayError as error:
            raise OSError(errno.EIO, str(error)) from error
        if len(self._asked) < ASKED_MAX:
            self._asked.append(entry)
        if self._streams is None:
            from rootlay.store.hydrate.readahead import Streams

            self._streams = Streams()
        window = self._streams.asked(entry)
        if window and self._has_room():
            self._followed += 1
            if self._ahead is None:
                self._ahead = hydrator.ahead()
            self._look_ahead(self._ahead, entry, entry + window)
        if self._ahead is not None and self._followed >= SEGMENTS_AFTER and len(self._jobs) < JOBS_MAX:
            first = self._followed == SEGMENTS_AFTER and window
            self._jobs.append(self._ahead.iter_index() if first else self._ahead.iter_segment(entry))

    def contents(self, entry: int) -> bytes:
        """Return the content of a small file for its copy-up, and that of files that are probably copied up next (rule
        4). Empty: the file was hydrated in its place. Raises OSError with the errno for the program."""
        from rootlay.store.model.errors import RootlayError

        try:
            hydrator = self._open()[1]
            self._contents = self._contents or hydrator.contents()
            answer = self._contents.answer(entry)
        except RootlayError as error:
            raise OSError(errno.EIO, str(error)) from error
        if not answer:
            hydrator.hydrate(entry)
        return answer

    def _look_ahead(self, ahead: Ahead, entry: int, goal: int) -> None:
        """Start a stream of ids, or continue the current one."""
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
        """Make a few of the files that will probably be requested. Return False if there is nothing to do."""
        until = time.monotonic() + STEP_SECONDS
        while self._jobs:
            # A later request for a file that cannot be made gets the error.
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

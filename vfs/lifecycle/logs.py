"""What a container's main programs have written, line by line."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from rootlay.store.containers.record import ContainerRecord
from rootlay.vfs.run.containerlog import Lines, LogReader, Piece, has_writer
from rootlay.vfs.run.processes import has_guests
from rootlay.vfs.run.watching import Watch


def iter_log(
    record: ContainerRecord,
    *,
    since_ns: int = 0,
    until_ns: int | None = None,
    tail: int | None = None,
    follow: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Piece]:
    """Yield the lines of a container's log, with their streams and times.

    Args:
        since_ns, until_ns: only lines of this time, ns since the epoch.
        tail: only so many of those that are there now.
        follow: continue until no program of the container runs and nothing writes the log.
        stop: asked at least once a second; true ends the following.
    """
    reader, lines = LogReader(record), Lines()

    def fits(line: Piece) -> bool:
        return line.time_ns >= since_ns and (until_ns is None or line.time_ns <= until_ns)

    def now(whole: bool) -> Iterator[Piece]:
        for piece in reader.pieces(whole=whole):
            yield from filter(fits, lines.add(piece))

    try:
        with Watch([record.path]) as watch:
            alive = _writes(record)
            first = now(not alive)
            yield from first if tail is None else deque(first, tail)
            while follow and alive:
                watch.wait(1.0)
                if stop():
                    return
                alive = _writes(record)
                yield from now(not alive)
        yield from filter(fits, lines.rest())
    finally:
        reader.close()


def _writes(record: ContainerRecord) -> bool:
    return has_writer(record) or has_guests(record.real_path)

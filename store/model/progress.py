"""Callbacks of long work: its progress, and notes for the user; never output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO


Progress = Callable[[int, "int | None", str], None]
"""A callback for regular progress reports of long work: so much is done, of so much (None: not known), of the work with
this name. Both are bytes, or the things that a `Counted` label names."""


class Counted(str):
    """A label of work that counts things, not bytes: the name of the things in the plural."""

    __slots__ = ()


def silent(done_bytes: int, total_bytes: int | None, label: str) -> None:
    """Ignore the progress. Work that is reported to this function need not find out its total."""


class Meter:
    """The sum of one piece of work, reported each time that it grows."""

    def __init__(self, progress: Progress, label: str, total: Callable[[], int | None] = lambda: None) -> None:
        """`total` is called only if somebody hears the progress: it can take time."""
        self._progress = progress
        self._label = label
        self._total = None if progress is silent else total()
        self.done = 0
        self.add(0)

    def add(self, count: int) -> None:
        """Add bytes or things that are done."""
        self.done += count
        self._progress(self.done, self._total, self._label)

    def iter_chunks(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the same chunks, and add each one when the next is requested."""
        for chunk in chunks:
            yield chunk
            self.add(len(chunk))


class MeteredFile:
    """A file, written or read, with its bytes added to a meter. The caller closes the file itself."""

    def __init__(self, file: BinaryIO, meter: Meter) -> None:
        self._file = file
        self._meter = meter

    def write(self, data: bytes) -> int:
        """Write as the file does."""
        written = self._file.write(data)
        self._meter.add(len(data))
        return written

    def read(self, size: int = -1) -> bytes:
        """Read as the file does."""
        data = self._file.read(size)
        self._meter.add(len(data))
        return data


Note = Callable[[str], None]
"""A callback for a line that the user should read, though nothing has failed: what was left out, and why."""


def unheard(line: str) -> None:
    """Ignore the note."""

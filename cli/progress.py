"""Progress of long work: one line on a terminal, with a rate and an estimate. Nothing is written to pipes and files.

Rules:
1. The line appears after FIRST_S, whether the work has reported anything by then or not; shorter work shows nothing.
   A thread draws it, so that it goes on while one step takes long.
2. The rate is that of the last WINDOW_S; the estimate is what is left, at that rate.
3. The line is as wide as the terminal at most, and is removed at the end. Only standard error is written to.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rootlay.cli.spec import Context
from rootlay.store.model.errors import printable_text
from rootlay.store.model.progress import Counted, silent

if TYPE_CHECKING:
    from rootlay.cli.printer import Printer
    from rootlay.store.model.progress import Progress

FIRST_S = 0.2
REDRAWN_EVERY_S = 0.1
WINDOW_S = 5.0
BAR_CELLS = 20
CLEAR = "\r\x1b[K"


@contextlib.contextmanager
def show_progress(context: Context, label: str, *, hidden: bool = False) -> Iterator[Progress]:
    """Return a callback for long work, which the line shows. On anything but a terminal, or `hidden`: `silent`.

    Args:
        label: what is done, until the work reports a label of its own.
    """
    if hidden or not context.err.isatty():
        yield silent
        return
    with Line(context.err, label) as line:
        yield line


class Line:
    """The line of one piece of work. Use it in a `with` block."""

    def __init__(self, out: Printer, label: str) -> None:
        import threading  # here, and `shutil` below: most commands have no terminal, or are too short

        self._out = out
        self._label = label
        self._done, self._total = 0, None  # type: int, int | None
        self._began = time.monotonic()
        self._samples: deque[tuple[float, int]] = deque()
        self._drawn = False
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._draw_until_end, name="progress", daemon=True)

    def __enter__(self) -> Line:
        """Start to draw."""
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Remove the line."""
        self._ended.set()
        self._thread.join()
        self.clear()

    def __call__(self, done: int, total: int | None, label: str, /) -> None:
        """Take a report. See rootlay.store.model.progress."""
        if label != self._label:
            self._label = label
            self._samples.clear()
        self._done, self._total = done, total

    def clear(self) -> None:
        """Remove the line, to print something else; it appears again with the next drawing."""
        with self._lock:
            if self._drawn:
                self._out.drawn(CLEAR)
                self._drawn = False

    def _draw_until_end(self) -> None:
        import shutil

        wait = FIRST_S
        while not self._ended.wait(wait):
            wait = REDRAWN_EVERY_S
            columns = shutil.get_terminal_size().columns
            with self._lock:
                self._out.drawn(CLEAR + self._text(time.monotonic(), columns))
                self._drawn = True

    def _text(self, now: float, columns: int) -> str:
        label, done, total = self._label, self._done, self._total
        samples = self._samples
        samples.append((now, done))
        while now - samples[0][0] > WINDOW_S:
            samples.popleft()
        seconds, more = now - samples[0][0], done - samples[0][1]
        rate = more / seconds if seconds > 0 and more > 0 else 0.0
        return line_of(label, done, total, rate, now - self._began, columns - 1)


def clear_progress(progress: Progress) -> None:
    """Remove the line of `show_progress`, to print something else."""
    if isinstance(progress, Line):
        progress.clear()


def line_of(label: str, done: int, total: int | None, rate: float, elapsed_s: float, columns: int) -> str:
    """Return the line: of the parts, those for which there is room, the most important ones first.

    Args:
        done, total: bytes, or things if the label is `Counted`. total: None if not known.
        rate: bytes or things a second; 0 if not known.
    """

    def amount(number: float) -> str:
        from rootlay.cli.listing import size

        return f"{number:,.0f}" if isinstance(label, Counted) else size(int(number))

    parts: list[tuple[int, str]] = [(0, printable_text(label))]  # (rank, text); 0 is the most important
    share = min(done / total, 1.0) if total else None
    if share is not None:
        full = int(share * BAR_CELLS)
        parts.append((4, f"[{'#' * full}{'-' * (BAR_CELLS - full)}]"))
        parts.append((1, f"{share:4.0%}"))
    if done or total:
        parts.append((2, amount(done) + (f" of {amount(total)}" if total else "")))
    if rate:
        parts.append((3, f"{amount(rate)}/s"))
    if rate and total and done < total:
        parts.append((1, f"{duration((total - done) / rate)} left"))
    else:
        parts.append((5, duration(elapsed_s)))
    while len(parts) > 1 and len("  ".join(text for _, text in parts)) > columns:
        parts.remove(max(parts))
    return "  ".join(text for _, text in parts)[: max(columns, 0)]


def duration(seconds: float) -> str:
    """Return a time for people: `8 s`, `2 min 5 s`, `3 h 10 min`."""
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def print_notes(context: Context, notes: Iterable[str]) -> None:
    """Print each note (something that the user should know although nothing failed) on a line of standard error."""
    for note in notes:
        context.err.line(f"rootlay: note: {note}")

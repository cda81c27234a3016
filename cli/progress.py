"""Progress of long work: a bar on a terminal, an occasional line elsewhere. Writes to standard error only."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rootlay.cli.listing import size
from rootlay.cli.spec import Context
from rootlay.store.model.errors import printable_text

if TYPE_CHECKING:
    from rootlay.store.model.progress import Progress

LINE_EVERY_S = 5.0
REDRAWN_EVERY_S = 0.1


@contextlib.contextmanager
def show_progress(context: Context, *, hidden: bool = False) -> Iterator[Progress]:
    """Return a callback `(done bytes, total bytes or None, label)` for long operations; `hidden`: it does nothing."""
    if hidden:
        from rootlay.store.model.progress import silent

        yield silent
        return
    if context.err.isatty():
        with _bar(context) as callback:
            yield callback
    else:
        yield _lines(context)


@contextlib.contextmanager
def _bar(context: Context) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    bars = Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(file=context.err.text),
        transient=True,
    )
    tasks: dict[str, object] = {}

    def update(done_bytes: int, total_bytes: int | None, label: str) -> None:
        if label not in tasks:
            tasks[label] = bars.add_task(printable_text(label), total=total_bytes)
        bars.update(tasks[label], completed=done_bytes, total=total_bytes)  # type: ignore[arg-type]  # rich's TaskID

    with bars:
        yield update


def print_notes(context: Context, notes: Iterable[str]) -> None:
    """Print each note (something that the user should know although nothing failed) on a line of standard error."""
    for note in notes:
        context.err.line(f"rootlay: note: {note}")


def show_counts(context: Context) -> Progress:
    """Return a callback for counted things: a line that is rewritten on a terminal, an occasional line elsewhere."""
    terminal = context.err.isatty()
    last = time.monotonic()

    def update(done: int, total: int | None, kind: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= (REDRAWN_EVERY_S if terminal else LINE_EVERY_S):
            last = now
            text = f"{done:,} of {total or done:,} {kind}"
            if terminal:
                context.err.drawn(f"\r\x1b[K{text}")
            else:
                context.err.line(text, flush=True)

    return update


def clear_counts(context: Context) -> None:
    """Remove the line from the terminal."""
    if context.err.isatty():
        context.err.drawn("\r\x1b[K")


def _lines(context: Context) -> Progress:
    last = time.monotonic()

    def update(done_bytes: int, total_bytes: int | None, label: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LINE_EVERY_S:
            last = now
            share = f" of {size(total_bytes)}" if total_bytes else ""
            context.err.line(f"{label}: {size(done_bytes)}{share}", flush=True)

    return update

"""`history --graph`: the steps of an image from top to bottom, with a bar for the size of each layer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rootlay.cli.docker.units import human_size
from rootlay.cli.listing import age_of, short_command
from rootlay.store.model.errors import printable_text

BAR_CELLS = 20
LAYER, NO_LAYER = "●", "○"
EIGHTHS = " ▏▎▍▌▋▊▉█"


def graph_lines(rows: Iterable[Mapping[str, Any]], ends: Mapping[str, list[str]], columns: int | None) -> Iterator[str]:
    """Yield one line for each step, newest first, as `rows` has them (`history --json`).

    Args:
        ends: the names of other images, by the diff ID of their last layer, if it is also one of this image.
        columns: the width of the terminal; None: lines are not cut.
    """
    steps = list(rows)
    largest = max((step["size"] for step in steps), default=0)
    for step in steps:
        is_layer = step["diff_id"] is not None
        size = human_size(step["size"], 3) if is_layer else ""
        names = "".join(f"({name}) " for name in ends.get(step["diff_id"] or "", ()))
        when = age_of(step["created"]) if step["created"] else ""
        text = printable_text(f"{names}{short_command(step['created_by']) or step['comment']}")
        line = f"{LAYER if is_layer else NO_LAYER} {size:>8} {bar(step['size'], largest)} {when:<14}  {text}".rstrip()
        yield line if columns is None or len(line) <= columns else line[: columns - 1] + "…"


def bar(count: int, most: int) -> str:
    """Return a bar of BAR_CELLS cells; anything but 0 is seen."""
    eighths = -(-count * BAR_CELLS * 8 // most) if most else 0
    full, rest = divmod(eighths, 8)
    return ("█" * full + EIGHTHS[rest] * bool(rest)).ljust(BAR_CELLS)

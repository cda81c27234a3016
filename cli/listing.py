"""Listings: a plain table as Docker prints it, or JSON, with readable times and sizes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from rootlay.cli.spec import Context
from rootlay.store.model.errors import printable_text
from rootlay.store.model.value import value

Row = dict[str, Any]


@value
class Column:
    title: str
    value: Callable[[Row], str]


def print_table(context: Context, rows: Sequence[Row], columns: Sequence[Column], *, as_json: bool) -> None:
    """Print one padded line a row, with unprintable characters escaped. With `as_json` print the complete rows."""
    if as_json:
        context.out.json(list(rows))
        return
    lines = [
        [column.title for column in columns],
        *([printable_text(column.value(row)) for column in columns] for row in rows),
    ]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    context.out.lines(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def age(when_ns: int) -> str:
    """Return the age of a time (ns since the epoch), as `3 minutes`."""
    return _span(max(0, (time.time_ns() - when_ns) // 1_000_000_000))


def age_of(when: str) -> str:
    """Return the age of a time in RFC 3339, as `3 minutes ago`; `unknown` if it is not one."""
    from datetime import UTC, datetime

    try:
        then = datetime.fromisoformat(when)
    except ValueError:
        return "unknown"
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return _span(max(0, int((datetime.now(UTC) - then).total_seconds()))) + " ago"


def _span(seconds: int) -> str:
    for limit, size, unit in (
        (60, 1, "second"),
        (3600, 60, "minute"),
        (86400, 3600, "hour"),
        (86400 * 60, 86400, "day"),
    ):
        if seconds < limit:
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds // (86400 * 30)} months"


def size(count: int) -> str:
    """Format bytes with decimal units, as Docker shows them: `1.21GB`."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{value:.3g}{unit}"
        value /= 1000
    raise AssertionError("unreachable")


def quoted(argv: Sequence[str]) -> str:
    import shlex

    return shlex.join(argv)


def short_command(command: str) -> str:
    """Return the step of a Dockerfile without the shell that the builder writes before it."""
    text = re.sub(r"^(RUN )?/bin/sh -c (#\(nop\)\s*)?", r"\1", command)
    return re.sub(r"\s+", " ", re.sub(r"\s*# buildkit$", "", text)).strip()

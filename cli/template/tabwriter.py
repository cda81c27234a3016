"""Go's text/tabwriter with the settings of Docker's tables: cells that end in a tab, aligned in columns."""

from __future__ import annotations

from rootlay.store.model.errors import printable_text

MINIMUM = 10
PADDING = 3


def align(text: str, *, minimum: int = MINIMUM) -> list[str]:
    """Return the lines of `text`, with its tabs replaced by spaces. Unprintable characters are escaped.

    A column is a block of consecutive lines that have a cell there; its width is that of its widest cell, plus
    PADDING, but at least `minimum`. The last cell of a line does not end in a tab and belongs to no column.
    """
    lines = [[printable_text(cell) for cell in line.split("\t")] for line in text.split("\n")]
    widths: list[list[int]] = [[0] * len(line) for line in lines]
    _measure(lines, widths, 0, len(lines), 0, minimum)
    return [
        "".join(cell.ljust(width) for cell, width in zip(line, row, strict=True))
        for line, row in zip(lines, widths, strict=True)
    ]


def _measure(lines: list[list[str]], widths: list[list[int]], begin: int, end: int, column: int, minimum: int) -> None:
    """Set the widths of a column, and of the columns to its right, for a range of lines."""
    line = begin
    while line < end:
        if column >= len(lines[line]) - 1:
            line += 1
            continue
        last = line
        while last < end and column < len(lines[last]) - 1:
            last += 1
        cells = [len(lines[number][column]) for number in range(line, last)]
        width = max(minimum, max(cells) + PADDING)
        for number in range(line, last):
            widths[number][column] = width
        _measure(lines, widths, line, last, column + 1, minimum)
        line = last

"""What a notebook shows of images, containers and changes: HTML fragments, for `_repr_html_`.

Rules:
1. Foreign text (names, commands, paths) is escaped: no markup, no control or direction characters.
2. Colours are those of the page, except for marks with white letters on a background of their own: a fragment is
   readable on light and dark pages. There are no scripts, no style sheets, and no references to anything outside.
3. A fragment has at most ROWS_MAX rows.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rootlay.store.model.errors import printable_text

if TYPE_CHECKING:
    from rootlay.store.model.imageconfig import History
    from rootlay.vfs.changes.change import Change

ROWS_MAX = 200
_MARKS = {"A": ("added", "#1a7f37"), "C": ("changed", "#8a5a00"), "D": ("deleted", "#b3261e")}
_LEFT, _RIGHT = (
    "text-align:left;vertical-align:top;overflow-wrap:anywhere",
    "text-align:right;vertical-align:top;white-space:nowrap",
)
_BAR = "display:inline-block;height:.7em;background:#4c8dd6"
_BAR_EM = 8.0


def escaped(text: object) -> str:
    """Return text for HTML, by rule 1."""
    return html.escape(printable_text(str(text)))


def size_text(count: int) -> str:
    """Return bytes with decimal units: `1.21 GB`."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def facts(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """Return a table of names and values, whose values are HTML already; empty ones are left out."""
    lines = "".join(
        f'<tr><th scope="row" style="{_LEFT}">{escaped(name)}</th><td style="{_LEFT}">{value}</td></tr>'
        for name, value in rows
        if value
    )
    return f'<table><caption style="{_LEFT};font-weight:bold">{escaped(title)}</caption>{lines}</table>'


def layer_table(steps: Sequence[History], sizes: Sequence[int]) -> str:
    """Return the steps of an image, oldest first, each layer with its compressed size in bytes and a bar."""
    left = list(sizes)
    most = max(left, default=0)
    rows = []
    for step in steps:
        size = left.pop(0) if left and not step.empty_layer else None
        cells = "<td></td><td></td>"
        if size is not None:
            width = _BAR_EM * size / most if most else 0.0
            bar = f'<span role="presentation" style="{_BAR};width:{width:.2f}em;min-width:1px"></span>'
            cells = f'<td style="{_RIGHT}">{size_text(size)}</td><td style="{_LEFT}">{bar}</td>'
        text = escaped("  # ".join(filter(None, (step.created_by, _said(step.comment)))) or "(no command)")
        rows.append(f'<tr>{cells}<td style="{_LEFT}"><code>{text}</code></td></tr>')
    rows += [f'<tr><td style="{_RIGHT}">{size_text(size)}</td><td></td><td>(no history)</td></tr>' for size in left]
    head = f'<tr><th style="{_RIGHT}">Size</th><th></th><th style="{_LEFT}">Step</th></tr>'
    return f"<table>{head}{''.join(_cut(rows, 3))}</table>"


def _said(comment: str) -> str:
    """Return a comment; that of a builder says only which builder it was."""
    return "" if comment.endswith(".dockerfile.v0") else comment


def change_table(changes: Sequence[Change]) -> str:
    """Return the changes as a table, and how many there are of each kind."""
    counts = {kind: sum(change.kind == kind for change in changes) for kind in _MARKS}
    told = ", ".join(f"{count:,} {_MARKS[kind][0]}" for kind, count in counts.items() if count) or "no changes"
    rows = [_change(change) for change in changes[: ROWS_MAX + 1]]
    head = f'<tr><th></th><th style="{_LEFT}">Path</th><th style="{_LEFT}">Type</th><th style="{_RIGHT}">Size</th></tr>'
    body = f"{head}{''.join(_cut(rows, 4, len(changes)))}" if rows else ""
    return f'<table><caption style="{_LEFT};font-weight:bold">{told}</caption>{body}</table>'


def _change(change: Change) -> str:
    word, colour = _MARKS[change.kind]
    style = f"color:#fff;background:{colour};padding:0 .4em;border-radius:.2em"
    is_file = change.type == "file"
    sizes = [] if not is_file else [size_text(change.size)] if change.kind != "D" else [size_text(change.size_before)]
    if is_file and change.kind == "C" and change.before and change.size != change.size_before:
        sizes.insert(0, size_text(change.size_before))
    return (
        f'<tr><td><span style="{style}" title="{word}">{change.kind}</span></td>'
        f'<td style="{_LEFT}"><code>{escaped(change.path)}</code></td>'
        f'<td style="{_LEFT}">{escaped(change.type)}</td><td style="{_RIGHT}">{" → ".join(sizes)}</td></tr>'
    )


def _cut(rows: list[str], columns: int, total: int = 0) -> list[str]:
    """Return the rows, by rule 3, with a last one that says how many are left out. `total`: if there are more."""
    more = max(total, len(rows)) - ROWS_MAX
    return [*rows[:ROWS_MAX], f'<tr><td colspan="{columns}">… and {more:,} more</td></tr>'] if more > 0 else rows

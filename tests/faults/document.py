"""docs/crash-points.md: the table that a campaign writes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.faults.row import Row, table

_BEGIN = "<!-- written by python -m tests.faults --table -->\n"
_END = "<!-- end -->\n"


def write_document(path: Path, rows: list[Row], actions: list[str]) -> None:
    """Replace the text between the marks."""
    head, _, rest = path.read_text(encoding="utf-8").partition(_BEGIN)
    tail = rest.partition(_END)[2]
    path.write_text(f"{head}{_BEGIN}{table(rows, actions)}\n{_exits(rows, actions)}{_END}{tail}", encoding="utf-8")


def _exits(rows: list[Row], actions: list[str]) -> str:
    """Return the table of exit codes, by action."""
    lines = ["| Action | exit codes |", "|---|---|"]
    for action in actions:
        codes: Counter[str] = Counter()
        for row in rows:
            codes.update(row.codes.get(action, {}))
        if codes:
            shown = ", ".join(f"{code} ({count})" for code, count in sorted(codes.items(), key=lambda one: int(one[0])))
            lines.append(f"| {action} | {shown} |")
    return "\n".join(lines) + "\n"

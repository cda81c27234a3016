"""The results of each command: JSON during a campaign, a table in Markdown at its end."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Row:
    """One command.

    Attributes:
        points: the number of calls in a run without a fault.
        distinct: their number without those that differ in random names only.
        reached: the number of injected faults, by action.
        states: the number of different states after the faults; all checks ran on each.
        codes: exit codes, by action.
        finished: the actions that were tried at every point.
        troubles: the failed checks.
    """

    name: str
    points: int = 0
    distinct: int = 0
    reached: dict[str, int] = field(default_factory=dict)
    states: int = 0
    codes: dict[str, dict[str, int]] = field(default_factory=dict)
    finished: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def exited(self, action: str, code: int) -> None:
        """Count an exit code."""
        codes = self.codes.setdefault(action, {})
        codes[str(code)] = codes.get(str(code), 0) + 1

    def line(self, actions: list[str]) -> str:
        """Return the row in Markdown."""
        cells = [str(self.reached.get(action, 0)) for action in actions]
        cells = [self.name, str(self.points), str(self.distinct), *cells, str(self.states), str(len(self.troubles))]
        return f"| {' | '.join(cells)} |"

    def write(self, directory: Path) -> None:
        """Save the row for the process that makes the table."""
        path = directory / f"{self.name.replace('/', '-')}.json"
        path.with_suffix(".new").write_text(json.dumps(asdict(self), indent=1))
        path.with_suffix(".new").rename(path)


def read_rows(directory: Path, names: list[str]) -> list[Row]:
    """Return the rows that exist, in the order of `names`."""
    rows = []
    for name in names:
        path = directory / f"{name.replace('/', '-')}.json"
        if path.exists():
            data = json.loads(path.read_text())
            rows.append(Row(**data))
    return rows


def table(rows: list[Row], actions: list[str]) -> str:
    """Return the table of all rows, and their sum."""
    lines = [
        f"| Command | Points | distinct | {' | '.join(actions)} | different outcomes | failed checks |",
        f"|---|---|---|{'---|' * len(actions)}---|---|",
        *(row.line(actions) for row in rows),
    ]
    total = Row("all of these")
    for row in rows:
        total.points += row.points
        total.distinct += row.distinct
        for action, count in row.reached.items():
            total.reached[action] = total.reached.get(action, 0) + count
        total.states += row.states
        total.troubles += row.troubles
    return "\n".join([*lines, total.line(actions)]) + "\n"

"""What was tried of each command, kept as JSON while a campaign goes on, and as a table in markdown at its end."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Row:
    """One command.

    Attributes:
        points: calls of one run without a break; `distinct`: those that differ in more than random names.
        reached: breaks by action that came about.
        states: different states that breaks have left, each looked at by the whole battery.
        codes: exit codes, by action.
        finished: the actions of which every point was tried.
        troubles: what was not as it must be.
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
        """The row in markdown."""
        cells = [str(self.reached.get(action, 0)) for action in actions]
        cells = [self.name, str(self.points), str(self.distinct), *cells, str(self.states), str(len(self.troubles))]
        return f"| {' | '.join(cells)} |"

    def write(self, directory: Path) -> None:
        """Keep it for whoever makes the table."""
        path = directory / f"{self.name.replace('/', '-')}.json"
        path.with_suffix(".new").write_text(json.dumps(asdict(self), indent=1))
        path.with_suffix(".new").rename(path)


def read_rows(directory: Path, names: list[str]) -> list[Row]:
    """Those that are there, in the order of `names`."""
    rows = []
    for name in names:
        path = directory / f"{name.replace('/', '-')}.json"
        if path.exists():
            data = json.loads(path.read_text())
            rows.append(Row(**data))
    return rows


def table(rows: list[Row], actions: list[str]) -> str:
    """All rows and their sum."""
    lines = [
        f"| Command | Points | distinct | {' | '.join(actions)} | different outcomes | not as it must be |",
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

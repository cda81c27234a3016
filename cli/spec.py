"""The declarative table of a verb: its options and arguments, from which both parsers are made.

Rules:
1. One source of truth: `cli/parse.py` (light, for the verbs that must start fast) and `cli/app.py` (Typer: help,
   completion, suggestions) are both made from these values.
2. Nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from rootlay.cli.printer import Printer
from rootlay.store.model.value import value

RUNNING_VERBS = frozenset({"run", "start", "exec", "create", "python"})
"""Verbs whose exit code may be a program's: trouble of our own is 125, as Docker's."""

Kind = Literal["flag", "text", "many", "int"]


@value
class Option:
    """`flags`: the spellings, long one last. A `flag` is given or not; `many` may be repeated."""

    flags: tuple[str, ...]
    kind: Kind
    help: str
    metavar: str = ""
    default: Any = None
    hidden: bool = False

    @property
    def name(self) -> str:
        return self.flags[-1].lstrip("-").replace("-", "_")

    @property
    def start(self) -> Any:
        """The value when the option is not given."""
        return {"flag": False, "many": ()}.get(self.kind, self.default)


@value
class Argument:
    """A positional argument. `many` takes all that is left."""

    name: str
    help: str
    required: bool = True
    many: bool = False


@value
class Verb:
    """`passes_on`: what follows the first argument belongs to the program, so options end there."""

    name: str
    help: str
    action: Callable[[Values, Context], int]
    options: tuple[Option, ...] = ()
    arguments: tuple[Argument, ...] = ()
    passes_on: bool = False
    exits: str = ""
    examples: tuple[str, ...] = ()


class Values:
    """What the user gave, checked against the table. The getters are typed, and fail on a name that is not in it."""

    __slots__ = ("given",)

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given

    def flag(self, name: str) -> bool:
        return bool(self.given[name])

    def text(self, name: str) -> str | None:
        value = self.given[name]
        return None if value is None else str(value)

    def required(self, name: str) -> str:
        return str(self.given[name])

    def number(self, name: str) -> int | None:
        value = self.given[name]
        return None if value is None else int(value)

    def many(self, name: str) -> tuple[str, ...]:
        return tuple(self.given[name] or ())


@value
class Context:
    """What the surroundings are: read once, in `cli/main.py`, and handed down. `root_given`: the user chose it."""

    root: Path
    environ: dict[str, str]
    out: Printer
    err: Printer
    root_given: bool = False


class UsageError(Exception):
    """The command line is not one: exit code 2 (125 for the verbs that run programs), as Docker's."""

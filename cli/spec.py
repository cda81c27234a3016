"""The declarative table of a verb: its options and arguments. Both parsers are made from it.

Rules:
1. One source of truth: `cli/parse.py` (light, for the verbs that must start fast) and `cli/app.py` (Typer: help,
   completion, suggestions) are both made from these values.
2. This module imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from rootlay.cli.printer import Printer
from rootlay.store.model.value import value

RUNNING_VERBS = frozenset({"run", "start", "exec", "create", "python"})
"""Verbs whose exit code may be a program's: an error of rootlay is 125, as in Docker."""

Kind = Literal["flag", "text", "many", "int"]


@value
class Option:
    """An option. `flags`: the spellings, the long one last. A `flag` is given or not; `many` may be repeated."""

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
        """The value if the option is not given."""
        return {"flag": False, "many": ()}.get(self.kind, self.default)


@value
class Argument:
    """A positional argument. `many` takes all remaining words."""

    name: str
    help: str
    required: bool = True
    many: bool = False


@value
class Verb:
    """A verb. `passes_on`: options end after the first argument; the following words belong to the program."""

    name: str
    help: str
    action: Callable[[Values, Context], int]
    options: tuple[Option, ...] = ()
    arguments: tuple[Argument, ...] = ()
    passes_on: bool = False
    exits: str = ""
    examples: tuple[str, ...] = ()


class Values:
    """The user's values, checked against the table. The getters are typed, and fail on a name that is not in it."""

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
    """The environment: read once, in `cli/main.py`, and passed on. `root_given`: the user chose the root."""

    root: Path
    environ: dict[str, str]
    out: Printer
    err: Printer
    root_given: bool = False


class UsageError(Exception):
    """A bad command line: exit code 2 (125 for the verbs that run programs), as in Docker."""

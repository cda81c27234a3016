"""The declarative table of a verb: its options and arguments. Both parsers are made from it.

Rules:
1. One source of truth: `cli/parse.py` (light, for the verbs that must start fast) and `cli/app.py` (Typer: help,
   completion, suggestions) are both made from these values.
2. This module imports nothing heavy.
3. An option of Docker does one of three things: it works; it is accepted without effect (`Option.accepted` says why);
   or it is refused (`Option.refused` says why, and what to do). The help and the documentation are made from these
   texts.
4. `Verb.rare` returns the options that few command lines have. Both parsers load them; the light one only if a line has
   one, so that a common start does not pay for them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rootlay.cli.printer import Printer
from rootlay.store.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, TypeAlias

RUNNING_VERBS = frozenset({"run", "start", "exec", "create", "python"})
"""Verbs whose exit code may be a program's: an error of rootlay is 125, as in Docker."""

Kind: TypeAlias = 'Literal["flag", "text", "many", "int"]'


@value
class Option:
    """An option. `flags`: the spellings, the long one last. A `flag` is given or not; `many` may be repeated.

    `accepted` is the reason for which the option has no effect; `refused` the reason for which its values are refused,
    and what to do instead. With both, `takes` lists the values that are accepted; one that ends in `:` is a
    beginning, and one that ends in `=` also with `:` in its place. Both texts are clauses without a final period.
    """

    flags: tuple[str, ...]
    kind: Kind
    help: str
    metavar: str = ""
    default: Any = None
    hidden: bool = False
    accepted: str = ""
    refused: str = ""
    takes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.flags[-1].lstrip("-").replace("-", "_")

    @property
    def start(self) -> Any:
        """The value if the option is not given."""
        return {"flag": bool(self.default), "many": ()}.get(self.kind, self.default)

    @property
    def status(self) -> Literal["works", "accepted", "refused"]:
        """What the option does: see rule 3. An option that is accepted with some values is `accepted`."""
        return "accepted" if self.accepted else "refused" if self.refused and not self.takes else "works"

    def check(self, given: Any) -> None:
        """Check one value of the option. The value that it has without being given is never refused.

        Raises:
            UsageError: it is refused.
        """
        text = str(given)
        if not self.refused or text in ("", str(self.start)):
            return
        beginnings = tuple(known[:-1] + sign for known in self.takes for sign in (known[-1:], ":") if known[-1] in ":=")
        if text not in self.takes and not text.startswith(beginnings):
            shown = {"True": "", "False": "=false"}.get(text, f"={text[:80]}")
            raise UsageError(f"{self.flags[-1]}{shown}: {self.refused}")


@value
class Argument:
    """A positional argument. `many` takes all remaining words."""

    name: str
    help: str
    required: bool = True
    many: bool = False


def no_options() -> tuple[Option, ...]:
    """Return no options: of the verbs without rare ones."""
    return ()


@value
class Verb:
    """A verb. `passes_on`: options end after the first argument; the following words belong to the program.

    `rare` returns the options of rule 4.
    """

    name: str
    help: str
    action: Callable[[Values, Context], int]
    options: tuple[Option, ...] = ()
    arguments: tuple[Argument, ...] = ()
    passes_on: bool = False
    exits: str = ""
    examples: tuple[str, ...] = ()
    rare: Callable[[], tuple[Option, ...]] = no_options

    @property
    def all_options(self) -> tuple[Option, ...]:
        """The whole table: for help, documentation and tests."""
        return (*self.options, *self.rare())


class Values:
    """The user's values, checked against the table. The getters are typed, and fail on a name that is not in it.

    Without a rare option in the command line, the table of these is not loaded, and `has` is false for each of them.
    """

    __slots__ = ("given",)

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given

    def has(self, name: str) -> bool:
        """Return whether the option's part of the table is loaded."""
        return name in self.given

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

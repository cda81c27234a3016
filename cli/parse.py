"""The light parser: it uses the same table as Typer, and takes a millisecond instead of 150.

It reads what pflag (Docker's parser) reads: `--name value`, `--name=value`, `-n value`, `-nvalue`, clusters such as
`-it`, and `--`. It leaves everything else (unknown options, missing arguments, `--help`) to Typer, which reports it in
full: so there is one set of messages. An option that the table refuses raises UsageError in both.
"""

from __future__ import annotations

from rootlay.cli.spec import Option, Values, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TRUTH = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
"""The truth values of Go's strconv.ParseBool, which pflag uses."""


class LeaveToTyper(Exception):
    """A command line that the light parser does not handle."""


class _Table:
    """The options of a verb by their spellings, and the values so far. The rare options are loaded at the first flag
    that is not a common one."""

    __slots__ = ("by_flag", "given", "verb")

    def __init__(self, verb: Verb) -> None:
        self.verb = verb
        self.by_flag: dict[str, Option] = {}
        self.given: dict[str, Any] = {}
        self._add(verb.options)

    def _add(self, options: tuple[Option, ...]) -> None:
        self.by_flag |= {flag: option for option in options for flag in option.flags}
        self.given |= {option.name: option.start for option in options}

    def find(self, flag: str) -> Option:
        """Return the option with this spelling. Raises LeaveToTyper if there is none."""
        option = self.by_flag.get(flag)
        if option is None:
            rare = self.verb.rare()
            if rare and rare[0].name not in self.given:
                self._add(rare)
                option = self.by_flag.get(flag)
        if option is None:
            raise LeaveToTyper
        return option


def parse(verb: Verb, words: list[str]) -> Values:
    """Parse the words after the verb.

    Raises:
        LeaveToTyper: see above.
        UsageError: the table refuses an option.
    """
    table = _Table(verb)
    positional: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            positional += left
            break
        if not word.startswith("-") or word == "-":
            positional.append(word)
            if verb.passes_on:
                positional += left
                break
        elif word.startswith("--"):
            name, sign, value = word.partition("=")
            _take(table.find(name), value if sign else None, left, table.given)
        else:
            _take_cluster(word, table, left)
    return Values(table.given | _assign(verb, positional))


def _take(option: Option, value: str | None, left: list[str], given: dict[str, Any]) -> None:
    if option.kind == "flag":
        if value is not None and value not in TRUTH:
            raise LeaveToTyper
        given[option.name] = truth = value is None or TRUTH[value]
        option.check(truth)
        return
    if value is None:
        if not left:
            raise LeaveToTyper
        value = left.pop(0)
    if option.kind == "many":
        given[option.name] = (*given[option.name], value)
    elif option.kind == "int":
        try:
            given[option.name] = int(value)
        except ValueError:
            raise LeaveToTyper from None
    else:
        given[option.name] = value
    option.check(value)


def _take_cluster(word: str, table: _Table, left: list[str]) -> None:
    """Parse a cluster: `-it`, `-eNAME=value`, `-ite NAME=value`."""
    for position in range(1, len(word)):
        option = table.find(f"-{word[position]}")
        rest = word[position + 1 :]
        if option.kind != "flag" or rest.startswith("="):
            rest = rest.removeprefix("=")
            _take(option, rest or None, left, table.given)
            return
        _take(option, None, left, table.given)


def _assign(verb: Verb, positional: list[str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    left = list(positional)
    for argument in verb.arguments:
        if argument.many:
            given[argument.name] = tuple(left)
            left = []
        else:
            given[argument.name] = left.pop(0) if left else None
        if argument.required and not given[argument.name]:
            raise LeaveToTyper
    if left:
        raise LeaveToTyper
    return given

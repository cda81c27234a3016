"""The tables of all verbs, in the order of the alphabet, for the scripts that make documentation from them.

It needs no package besides the standard library: the build of rootlay makes the man pages before anything is installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rootlay.cli.spec import Argument, Option, Verb
from rootlay.cli.subverbs import GROUPS
from rootlay.cli.verblist import VERBS, load_verb

METAVARS = {"text": "TEXT", "int": "NUMBER", "many": "TEXT", "flag": ""}
DEFAULT_EXITS = "0 success, 2 usage error; docs/exit-codes.md lists the other codes."


class Command(NamedTuple):
    """A verb by its whole name (`volume create`). `same`: the verb of one word that does the same, or empty."""

    name: str
    verb: Verb
    same: str = ""


def commands() -> Iterator[Command]:
    """Return every verb of one word, each group followed by its verbs of two words."""
    for name in sorted(VERBS):
        yield Command(name, load_verb(name))
        if group := GROUPS.get(name):
            for second in group.names:
                verb = group.load(second)
                assert verb is not None
                yield Command(f"{name} {second}", verb, group.others.get(second, ""))


def shown_options(verb: Verb) -> list[Option]:
    """Return the options that a reader sees, by their long names."""
    return sorted((option for option in verb.all_options if not option.hidden), key=lambda each: each.name)


def flags_of(option: Option) -> str:
    """Return the spellings of an option with its value: `-e`, `--env TEXT`."""
    metavar = option.metavar or METAVARS[option.kind]
    return ", ".join(option.flags) + (f" {metavar}" if metavar else "")


def effect_of(option: Option) -> str:
    """Return the help of an option, and why it has no effect or is refused."""
    text = option.help.rstrip(".") + "."
    if option.accepted:
        text += f" No effect: {option.accepted}."
    if option.refused:
        values = f" with values other than {', '.join(option.takes)}" if option.takes else ""
        text += f" Refused{values}: {option.refused}."
    return text


def _shown(argument: Argument) -> str:
    text = argument.name.upper() + ("…" if argument.many else "")
    return text if argument.required else f"[{text}]"


def synopsis(command: Command) -> str:
    """Return the form of a command line."""
    options = " [OPTIONS]" if command.verb.all_options else ""
    return f"rootlay {command.name}{options}" + "".join(f" {_shown(each)}" for each in command.verb.arguments)

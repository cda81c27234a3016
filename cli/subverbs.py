"""Verbs of two words: `volume create`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rootlay.cli.parse import LeaveToTyper, parse
from rootlay.cli.spec import RUNNING_VERBS, Argument, Context, UsageError, Values, Verb
from rootlay.cli.verblist import load_verb
from rootlay.store.model.value import value


@value
class Group:
    """The verbs of a group.

    Args:
        own: the verbs that only the group has.
        others: further names, each with the verb of one word that does the same.
    """

    name: str
    own: tuple[Verb, ...]
    others: Mapping[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order of the alphabet."""
        return tuple(sorted((*(verb.name for verb in self.own), *self.others)))

    def load(self, name: str) -> Verb | None:
        """Return a verb by its second word; None if there is none."""
        for verb in self.own:
            if verb.name == name:
                return verb
        return load_verb(self.others[name]) if name in self.others else None

    def run(self, values: Values, context: Context) -> int:
        """Run the verb that the first argument names."""
        word = values.text("action") or ""
        verb = self.load(word)
        if verb is None:
            from rootlay.store.model.similar import similar_names

            close = similar_names(word, self.names)
            hint = f"did you mean {' or '.join(close)}?" if close else f"expected one of {', '.join(self.names)}"
            raise UsageError(f"{self.name} {word[:40]}: {hint} (see `rootlay {self.name} --help`)")
        runs = word in self.others and verb.name in RUNNING_VERBS
        return _run(f"rootlay {self.name} {word}", verb, list(values.many("words")), context, runs=runs)


def _run(name: str, verb: Verb, words: list[str], context: Context, *, runs: bool) -> int:
    """Run a verb. `runs`: it runs programs, so that it has exit codes of its own."""
    try:
        given = parse(verb, words)
    except LeaveToTyper:
        from rootlay.cli.app import run_alone

        return run_alone(name, verb, words, context)
    if not runs:
        return verb.action(given, context)
    from rootlay.cli.errorreport import explain

    try:
        return verb.action(given, context)
    except Exception as error:  # its exit code is that of the verb
        message, code = explain(error, verb.name, context.root)
        context.err.line(f"rootlay: {message}")
        return code


GROUPS: dict[str, Group] = {}
"""The groups that are loaded, by name."""


def make_group(name: str, help_text: str, verbs: tuple[Verb, ...], others: Mapping[str, str] | None = None) -> Verb:
    """Return the verb that runs one of others, by its first argument. `others`: see Group."""
    group = GROUPS[name] = Group(name, verbs, others or {})
    arguments: tuple[Any, ...] = (
        Argument("action", f"One of {', '.join(group.names)}; `rootlay {name} ACTION --help` shows its options."),
        Argument("words", "Options and arguments of the action.", required=False, many=True),
    )
    return Verb(
        name=name,
        help=f"{help_text}: " + ", ".join(f"{name} {each}" for each in group.names) + ".",
        action=group.run,
        arguments=arguments,
        passes_on=True,
    )

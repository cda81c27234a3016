"""Verbs of two words: `volume create`."""

from __future__ import annotations

from rootlay.cli.parse import LeaveToTyper, parse
from rootlay.cli.spec import Argument, Context, UsageError, Values, Verb


def make_group(name: str, help_text: str, verbs: tuple[Verb, ...]) -> Verb:
    """Return the verb that runs one of others, by its first argument."""
    by_name = {verb.name: verb for verb in verbs}

    def action(values: Values, context: Context) -> int:
        word = values.text("action") or ""
        if word not in by_name:
            raise UsageError(f"{name} {word[:40]}: expected {name} {', '.join(by_name)} (see `rootlay {name} --help`)")
        verb, words = by_name[word], list(values.many("words"))
        try:
            given = parse(verb, words)
        except LeaveToTyper:
            from rootlay.cli.app import run_alone

            return run_alone(name, verb, words, context)
        return verb.action(given, context)

    return Verb(
        name=name,
        help=f"{help_text}: " + ", ".join(f"{name} {verb}" for verb in by_name) + ".",
        action=action,
        arguments=(
            Argument("action", f"One of {', '.join(by_name)}; `rootlay {name} ACTION --help` shows its options."),
            Argument("words", "Options and arguments of the action.", required=False, many=True),
        ),
        passes_on=True,
    )

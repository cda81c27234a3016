"""`rootlay __complete`: print candidates for the last word of a command line. Scripts of shells call it."""

from __future__ import annotations

from rootlay.cli.spec import Argument, Context, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.cli.completion.words import complete

    context.out.lines(complete(list(values.many("words")), context.root))
    return 0


VERB = Verb(
    name="__complete",
    help="Print candidates for the last of WORDS.",
    action=action,
    arguments=(Argument("words", "Words after the command's name.", required=False, many=True),),
    passes_on=True,
)

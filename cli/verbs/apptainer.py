"""`rootlay __apptainer`: the command line of Apptainer. The commands of `rootlay apptainer-link` call it."""

from __future__ import annotations

from rootlay.cli.spec import Argument, Context, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.cli.apptainer.face import run_face

    return run_face(list(values.many("words"))[1:], context)


VERB = Verb(
    name="__apptainer",
    help="Run a command line of Apptainer; the first of WORDS is the command's name.",
    action=action,
    arguments=(Argument("words", "Name and words of the command.", many=True),),
    passes_on=True,
)

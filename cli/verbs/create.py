"""`rootlay create`: make a container without starting it."""

from __future__ import annotations

from rootlay.cli.container.createcommand import make_container
from rootlay.cli.container.runoptions import ARGUMENTS, CREATE_OPTIONS, rare_options
from rootlay.cli.spec import Context, Values, Verb


def action(values: Values, context: Context) -> int:
    context.out.line(make_container(values, context).id)
    return 0


VERB = Verb(
    name="create",
    help="Create a container without starting it.",
    action=action,
    options=CREATE_OPTIONS,
    arguments=ARGUMENTS,
    passes_on=True,
    rare=rare_options,
)

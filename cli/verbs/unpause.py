"""`rootlay unpause`: continue paused containers."""

from __future__ import annotations

from rootlay.cli.several import each_container
from rootlay.cli.spec import Argument, Context, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.vfs.lifecycle.pause import unpause_container

    return each_container(values, context, "unpause", unpause_container)


VERB = Verb(
    name="unpause",
    help="Continue the programs of paused containers.",
    action=action,
    arguments=(Argument("container", "Name or ID.", many=True),),
)

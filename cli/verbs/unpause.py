"""`rootlay unpause`: continue paused containers."""

from __future__ import annotations

from rootlay.cli.several import each
from rootlay.cli.spec import Argument, Context, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.lifecycle.pause import unpause_container

    def act(name: str) -> None:
        unpause_container(Containers(context.root).find(name))
        context.out.line(name)

    return each(values.many("container"), act, context, "unpause")


VERB = Verb(
    name="unpause",
    help="Continue the programs of paused containers.",
    action=action,
    arguments=(Argument("container", "Name or ID.", many=True),),
)

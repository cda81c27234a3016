"""`rootlay pause`: stop the programs of containers for a while."""

from __future__ import annotations

from rootlay.cli.several import each
from rootlay.cli.spec import Argument, Context, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.lifecycle.pause import pause_container

    def act(name: str) -> None:
        pause_container(Containers(context.root).find(name))
        context.out.line(name)

    return each(values.many("container"), act, context, "pause")


VERB = Verb(
    name="pause",
    help="Pause all programs of containers: they are stopped by SIGSTOP until unpause.",
    action=action,
    arguments=(Argument("container", "Name or ID.", many=True),),
)

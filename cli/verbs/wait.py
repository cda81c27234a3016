"""`rootlay wait`: wait for the end of containers."""

from __future__ import annotations

from rootlay.cli.several import each
from rootlay.cli.spec import Argument, Context, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.lifecycle.stop import wait_container

    def wait(name: str) -> None:
        context.out.line(str(wait_container(Containers(context.root).find(name))))
        context.out.flush()

    return each(values.many("container"), wait, context, "wait")


VERB = Verb(
    name="wait",
    help="Wait until the main program of each container has ended, and print its exit code.",
    action=action,
    arguments=(Argument("container", "Name or ID.", many=True),),
)

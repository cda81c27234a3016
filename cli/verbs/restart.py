"""`rootlay restart`: stop and start containers."""

from __future__ import annotations

from rootlay.cli.several import each
from rootlay.cli.spec import Argument, Context, Values, Verb
from rootlay.cli.verbs.stop import STOP_OPTIONS, signal_of


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.lifecycle.stop import restart_container

    number = signal_of(values)

    def restart(name: str) -> None:
        record = Containers(context.root).find(name)
        restart_container(record, patience_s=values.number("timeout"), signal_number=number)
        context.out.line(name)

    return each(values.many("container"), restart, context, "restart")


VERB = Verb(
    name="restart",
    help="Stop containers, and start their main programs again.",
    action=action,
    options=STOP_OPTIONS,
    arguments=(Argument("container", "Name or ID.", many=True),),
)

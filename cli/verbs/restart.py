"""`rootlay restart`: stop and start containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rootlay.cli.several import each_container
from rootlay.cli.spec import Argument, Context, Values, Verb
from rootlay.cli.verbs.stop import STOP_OPTIONS, signal_of

if TYPE_CHECKING:
    from rootlay.store.containers.record import ContainerRecord


def action(values: Values, context: Context) -> int:
    from rootlay.vfs.lifecycle.stop import restart_container

    number = signal_of(values)

    def restart(record: ContainerRecord) -> None:
        restart_container(record, patience_s=values.number("timeout"), signal_number=number)

    return each_container(values, context, "restart", restart)


VERB = Verb(
    name="restart",
    help="Stop containers, and start their main programs again.",
    action=action,
    options=STOP_OPTIONS,
    arguments=(Argument("container", "Name or ID.", many=True),),
)

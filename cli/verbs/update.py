"""`rootlay update`: change limits and the restart policy of containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rootlay.cli.container.rareflags import UPDATE_OPTIONS
from rootlay.cli.several import each_container
from rootlay.cli.spec import Argument, Context, UsageError, Values, Verb

if TYPE_CHECKING:
    from rootlay.store.containers.record import ContainerRecord


def action(values: Values, context: Context) -> int:
    from rootlay.cli.container.rareoptions import limits_of, restart_of
    from rootlay.vfs.lifecycle.update import update_container

    limits = limits_of(values)
    restart = restart_of(values) if values.text("restart") else None
    if limits is None and restart is None and not any(values.given[name] for name in ("cpu_shares", "blkio_weight")):
        raise UsageError("you must provide one or more flags: a limit or --restart")

    def update(found: ContainerRecord) -> None:
        record, later = update_container(found, limits=limits, restart=restart)
        if later:
            context.err.line(f"rootlay: note: {record.name}: {', '.join(later)} holds from the next start on")

    return each_container(values, context, "update", update)


VERB = Verb(
    name="update",
    help="Change the limits and the restart policy of containers, running or not.",
    action=action,
    options=UPDATE_OPTIONS,
    arguments=(Argument("container", "Name or ID.", many=True),),
)

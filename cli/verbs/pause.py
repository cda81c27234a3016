"""`rootlay pause`: stop the programs of containers for a while."""

from __future__ import annotations

from rootlay.cli.several import each_container
from rootlay.cli.spec import Argument, Context, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.vfs.lifecycle.pause import pause_container

    return each_container(values, context, "pause", pause_container)


VERB = Verb(
    name="pause",
    help="Pause all programs of containers: they are stopped by SIGSTOP until unpause.",
    action=action,
    arguments=(Argument("container", "Name or ID.", many=True),),
)

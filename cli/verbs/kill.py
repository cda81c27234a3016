"""`rootlay kill`: send a signal to containers."""

from __future__ import annotations

from rootlay.cli.several import each_container
from rootlay.cli.spec import Argument, Context, Option, Values, Verb

SIGNAL = Option(("-s", "--signal"), "text", "Signal to send.", "SIGNAL")


def action(values: Values, context: Context) -> int:
    from rootlay.vfs.lifecycle.stop import kill_container
    from rootlay.vfs.settings.signals import parse_signal

    number = parse_signal(values.text("signal") or "KILL")

    return each_container(values, context, "kill", lambda record: kill_container(record, number))


VERB = Verb(
    name="kill",
    help="Send a signal to the main program of containers; SIGKILL, the default, ends all their programs.",
    action=action,
    options=(SIGNAL,),
    arguments=(Argument("container", "Name or ID.", many=True),),
)

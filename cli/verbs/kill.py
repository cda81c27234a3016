"""`rootlay kill`: send a signal to containers."""

from __future__ import annotations

from rootlay.cli.several import each
from rootlay.cli.spec import Argument, Context, Option, Values, Verb

SIGNAL = Option(("-s", "--signal"), "text", "Signal to send.", "SIGNAL")


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.lifecycle.stop import kill_container
    from rootlay.vfs.settings.signals import parse_signal

    number = parse_signal(values.text("signal") or "KILL")

    def kill(name: str) -> None:
        kill_container(Containers(context.root).find(name), number)
        context.out.line(name)

    return each(values.many("container"), kill, context, "kill")


VERB = Verb(
    name="kill",
    help="Send a signal to the main program of containers; SIGKILL, the default, ends all their programs.",
    action=action,
    options=(SIGNAL,),
    arguments=(Argument("container", "Name or ID.", many=True),),
)

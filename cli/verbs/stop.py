"""`rootlay stop`: end a container's programs."""

from __future__ import annotations

from rootlay.cli.several import each
from rootlay.cli.spec import Argument, Context, Option, Values, Verb

STOP_OPTIONS = (
    Option(
        ("-t", "--time", "--timeout"),
        "int",
        "Seconds to wait before SIGKILL; -1 for no limit (default: the container's, or 10).",
        "SECONDS",
    ),
    Option(("-s", "--signal"), "text", "Signal to send (default: the container's, or SIGTERM).", "SIGNAL"),
)


def signal_of(values: Values) -> int | None:
    """Return the number of --signal; None if it is not given. Raises BadSignal."""
    from rootlay.vfs.settings.signals import parse_signal

    text = values.text("signal")
    return parse_signal(text) if text else None


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.lifecycle.stop import stop_container

    number = signal_of(values)

    def stop(name: str) -> None:
        record = Containers(context.root).find(name)
        stop_container(record, patience_s=values.number("timeout"), signal_number=number)
        context.out.line(name)

    return each(values.many("container"), stop, context, "stop")


VERB = Verb(
    name="stop",
    help="Stop containers: the stop signal to the main program, then SIGKILL to all remaining programs.",
    action=action,
    options=STOP_OPTIONS,
    arguments=(Argument("container", "Name or ID.", many=True),),
)

"""`rootlay stop`: end a container's programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rootlay.cli.several import each_container
from rootlay.cli.spec import Argument, Context, Option, Values, Verb

if TYPE_CHECKING:
    from rootlay.store.containers.record import ContainerRecord

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
    from rootlay.vfs.lifecycle.stop import stop_container

    number = signal_of(values)

    def stop(record: ContainerRecord) -> None:
        stop_container(record, patience_s=values.number("timeout"), signal_number=number)

    return each_container(values, context, "stop", stop)


VERB = Verb(
    name="stop",
    help="Stop containers: the stop signal to the main program, then SIGKILL to all remaining programs.",
    action=action,
    options=STOP_OPTIONS,
    arguments=(Argument("container", "Name or ID.", many=True),),
)

"""`rootlay events`: what happens to containers, images, volumes and networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rootlay.cli.docker.options import FILTER, LIST_FORMAT
from rootlay.cli.spec import Context, Option, UsageError, Values, Verb
from rootlay.store.model.errors import printable_text

if TYPE_CHECKING:
    from rootlay.cli.template.values import Struct


def action(values: Values, context: Context) -> int:
    from rootlay.cli.docker.ask import Asker, filters_of
    from rootlay.cli.docker.table import execute_row, parse
    from rootlay.cli.template.values import to_json

    given = values.text("format")
    template = None if given in (None, "", "json") else parse(str(given))

    def show(event: dict[str, Any]) -> None:
        text = (
            to_json(_message(event)) if given == "json" else execute_row(template, _message(event)) if template else ""
        )
        context.out.formatted((text or printable_text(_line(event))) + "\n")
        context.out.flush()

    query = {name: values.text(name) for name in ("since", "until")}
    try:
        Asker(context, show).ask("GET", "/events", filters=filters_of(values.many("filter")), **query)
    except ValueError as error:
        raise UsageError(f"--since, --until: {error}") from None
    return 0


def _message(event: dict[str, Any]) -> Struct:
    """Return an event as Go's type has it."""
    from rootlay.cli.template.values import StringMap, Struct

    parts = {"ID": event["Actor"]["ID"], "Attributes": StringMap(event["Actor"]["Attributes"])}
    actor = Struct("events.Actor", parts, parts)
    fields = {
        "Status": event.get("status", ""), "ID": event.get("id", ""), "From": event.get("from", ""),
        "Type": event["Type"], "Action": event["Action"], "Actor": actor, "Scope": event["scope"],
        "Time": event["time"], "TimeNano": event["timeNano"],
    }  # fmt: skip
    return Struct("*events.Message", fields, {**event, "Actor": actor})


def _line(event: dict[str, Any]) -> str:
    """Return Docker's line: the local time, kind, action, ID, and the attributes in their order."""
    import time

    seconds, rest = divmod(int(event["timeNano"]), 10**9)
    zone = time.strftime("%z", time.localtime(seconds))
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(seconds)) + f".{rest:09d}{zone[:3]}:{zone[3:]}"
    attributes = ", ".join(f"{name}={text}" for name, text in sorted(event["Actor"]["Attributes"].items()))
    shown = f" ({attributes})" if attributes else ""
    return f"{moment} {event['Type']} {event['Action']} {event['Actor']['ID']}{shown}"


VERB = Verb(
    name="events",
    help="Show events of containers, images, volumes and networks, past ones and as they happen.",
    action=action,
    options=(
        FILTER,
        LIST_FORMAT,
        Option(("--since",), "text", "Begin with the events since this time.", "TIME"),
        Option(("--until",), "text", "End at this time.", "TIME"),
    ),
    exits="0 the time of --until has come; 130 ended by Ctrl-C.",
)

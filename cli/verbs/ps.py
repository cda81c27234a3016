"""`rootlay ps`: list containers."""

from __future__ import annotations

import os

from rootlay.cli.listing import Column, age, print_table, quoted
from rootlay.cli.spec import Context, Option, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.container import Containers
    from rootlay.vfs.run.processes import has_guests

    rows = []
    for record in Containers(context.root).iter_all():
        running = has_guests(os.path.realpath(record.path))
        state = record.state()
        if not running and not state.elsewhere and not values.flag("all"):
            continue
        if running:
            status = "Up " + age(state.started_ns)
        elif state.elsewhere:
            status = f"Up {age(state.started_ns)} on {state.elsewhere}"
        elif state.exit_code is not None:
            status = f"Exited ({state.exit_code}) {age(state.finished_ns)} ago"
        else:
            status = "Created"
        rows.append(
            {
                "id": record.id,
                "image": record.config.image or "(directories)",
                "command": quoted(record.config.argv),
                "created_ns": record.config.created_ns,
                "running": running or bool(state.elsewhere),
                "machine": state.elsewhere,
                "exit_code": state.exit_code,
                "status": status,
                "ports": list(record.config.ports),
                "name": record.name,
            }
        )
    if values.flag("quiet"):
        for row in rows:
            context.out.line(str(row["id"])[:12])
        return 0
    columns = (
        Column("CONTAINER ID", lambda row: row["id"][:12]),
        Column("IMAGE", lambda row: row["image"]),
        Column("COMMAND", lambda row: row["command"][:24]),
        Column("CREATED", lambda row: age(row["created_ns"]) + " ago"),
        Column("STATUS", lambda row: row["status"]),
        Column("PORTS", lambda row: ", ".join(map(_shown, row["ports"]))),
        Column("NAMES", lambda row: row["name"]),
    )
    print_table(context, rows, columns, as_json=values.flag("json"))
    return 0


def _shown(port: str) -> str:
    """`0.0.0.0:8080->80/tcp`, as Docker writes it."""
    outside, _, inside = port.rpartition(":")
    return f"{outside if ':' in outside else '0.0.0.0:' + outside}->{inside}"


VERB = Verb(
    name="ps",
    help="List containers: those with a running program, or all.",
    action=action,
    options=(
        Option(("-a", "--all"), "flag", "Stopped ones, too."),
        Option(("-q", "--quiet"), "flag", "IDs only."),
        Option(("--json",), "flag", "As JSON."),
    ),
)

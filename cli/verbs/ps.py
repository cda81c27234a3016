"""`rootlay ps`: list containers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rootlay.cli.listing import Column, Row, age, print_table, quoted
from rootlay.cli.spec import Context, Option, Values, Verb

if TYPE_CHECKING:
    from rootlay.store.containers.record import ContainerRecord


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.run.processes import running_containers

    containers = Containers(context.root)
    launched, elsewhere = containers.maybe_running()
    running = running_containers(os.path.realpath(containers.path), launched)
    everything = values.flag("all")
    rows = []
    for record in containers.iter_all() if everything else containers.iter_of(launched | elsewhere):
        row = _row(record, record.id in running)
        if row["running"] or everything:
            rows.append(row)
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


def _row(record: ContainerRecord, running: bool) -> Row:
    state = record.state()
    if running:
        status = "Up " + age(state.started_ns)
    elif state.elsewhere:
        status = f"Up {age(state.started_ns)} on {state.elsewhere}"
    elif state.exit_code is not None:
        status = f"Exited ({state.exit_code}) {age(state.finished_ns)} ago"
    else:
        status = "Created"
    return {
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


def _shown(port: str) -> str:
    """Format a port as Docker does: `0.0.0.0:8080->80/tcp`."""
    outside, _, inside = port.rpartition(":")
    return f"{outside if ':' in outside else '0.0.0.0:' + outside}->{inside}"


VERB = Verb(
    name="ps",
    help="List containers.",
    action=action,
    options=(
        Option(("-a", "--all"), "flag", "Show all containers (default: only running ones)."),
        Option(("-q", "--quiet"), "flag", "IDs only."),
        Option(("--json",), "flag", "As JSON."),
    ),
)

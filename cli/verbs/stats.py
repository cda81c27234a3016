"""`rootlay stats`: show the resources that containers use."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from rootlay.cli.docker.units import binary_size
from rootlay.cli.listing import Column, Row, print_table, size
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rootlay.store.containers.record import ContainerRecord

SAMPLE_S = 1.0
COLUMNS = (
    ("ID", "CONTAINER ID"),
    ("Name", "NAME"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
    ("PIDs", "PIDS"),
)


def action(values: Values, context: Context) -> int:
    given = values.text("format")
    if given not in (None, "json", "table"):
        raise UsageError(f"--format {given[:40]}: expected table or json")
    before = {record.id: _usage(record, {}) for record in _records(values, context)}
    while True:
        time.sleep(SAMPLE_S)
        records = _records(values, context)
        now = {record.id: _usage(record, before.get(record.id, {})) for record in records}
        rows = [_row(now[record.id], whole=values.flag("no_trunc")) for record in records]
        before = now
        if context.out.isatty() and not values.flag("no_stream"):
            context.out.drawn("\x1b[H\x1b[J")
        if given == "json":
            context.out.lines(json.dumps(row) for row in rows)
        else:
            columns = [Column(title, lambda row, key=key: row[key]) for key, title in COLUMNS]  # type: ignore[misc]
            print_table(context, rows, columns, as_json=False)
        context.out.flush()
        if values.flag("no_stream"):
            return 0


def _records(values: Values, context: Context) -> Sequence[ContainerRecord]:
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.run.status import is_running

    containers = Containers(context.root)
    names = values.many("container")
    if names:
        return [containers.find(name) for name in names]
    if values.flag("all"):
        return list(containers.iter_all())
    launched, _ = containers.maybe_running()
    return [record for record in containers.iter_of(launched) if is_running(record)]


def _usage(record: ContainerRecord, before: dict[str, Any]) -> dict[str, Any]:
    from rootlay.vfs.docker.usage import usage_json

    return usage_json(record, before)


def _row(usage: dict[str, Any], *, whole: bool) -> Row:
    """Return a row with the members of `docker stats --format`."""
    cpu, earlier, memory = usage["cpu_stats"], usage["precpu_stats"], usage["memory_stats"]
    spent = cpu["cpu_usage"]["total_usage"] - earlier["cpu_usage"]["total_usage"]
    passed = cpu["system_cpu_usage"] - earlier.get("system_cpu_usage", 0)
    percent = 100 * max(0, spent) / passed * cpu["online_cpus"] if passed > 0 else 0.0
    used, limit = memory["usage"], memory["limit"]
    io = {item["op"]: item["value"] for item in usage["blkio_stats"]["io_service_bytes_recursive"]}
    return {
        "Container": usage["id"] if whole else usage["id"][:12],
        "ID": usage["id"] if whole else usage["id"][:12],
        "Name": usage["name"].removeprefix("/"),
        "CPUPerc": f"{percent:.2f}%",
        "MemUsage": f"{binary_size(used)} / {binary_size(limit)}",
        "MemPerc": f"{100 * used / limit if limit else 0:.2f}%",
        "NetIO": "0B / 0B",
        "BlockIO": f"{size(io['read'])} / {size(io['write'])}",
        "PIDs": str(usage["pids_stats"]["current"]),
    }


VERB = Verb(
    name="stats",
    help="Show processor time, memory and input/output of running containers. The network is the host's: not counted.",
    action=action,
    options=(
        Option(("-a", "--all"), "flag", "Show all containers (default: only running ones)."),
        Option(("--format",), "text", "table or json.", "FORMAT"),
        Option(("--no-stream",), "flag", "Print one result, and exit."),
        Option(("--no-trunc",), "flag", "Do not shorten IDs."),
    ),
    arguments=(Argument("container", "Names or IDs.", required=False, many=True),),
)

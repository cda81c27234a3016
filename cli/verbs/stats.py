"""`rootlay stats`: show the resources that containers use."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rootlay.cli.docker.options import LIST_FORMAT
from rootlay.cli.docker.table import Listing, print_rows
from rootlay.cli.docker.units import binary_size
from rootlay.cli.listing import size
from rootlay.cli.spec import Argument, Context, Option, Values, Verb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rootlay.store.containers.record import ContainerRecord

SAMPLE_S = 1.0
STATS = Listing(
    "*container.statsContext",
    {
        "Container": "CONTAINER", "ID": "CONTAINER ID", "Name": "NAME", "CPUPerc": "CPU %",
        "MemUsage": "MEM USAGE / LIMIT", "MemPerc": "MEM %", "NetIO": "NET I/O", "BlockIO": "BLOCK I/O", "PIDs": "PIDS",
    },
    r"{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}",
)  # fmt: skip


def action(values: Values, context: Context) -> int:
    before = {record.id: _usage(record, {}) for record, _ in _records(values, context)}
    while True:
        time.sleep(SAMPLE_S)
        records = _records(values, context)
        now = {record.id: _usage(record, before.get(record.id, {})) for record, _ in records}
        rows = [_row(now[record.id], name, whole=values.flag("no_trunc")) for record, name in records]
        before = now
        if context.out.isatty() and not values.flag("no_stream"):
            context.out.drawn("\x1b[H\x1b[J")
        print_rows(context, STATS, rows, values.text("format"))
        context.out.flush()
        if values.flag("no_stream"):
            return 0


def _records(values: Values, context: Context) -> Sequence[tuple[ContainerRecord, str]]:
    """Return the containers, each with the name that was given; empty: none was."""
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.run.status import is_running

    containers = Containers(context.root)
    names = values.many("container")
    if names:
        return [(containers.find(name), name) for name in names]
    if values.flag("all"):
        return [(record, "") for record in containers.iter_all()]
    launched, _ = containers.maybe_running()
    return [(record, "") for record in containers.iter_of(launched) if is_running(record)]


def _usage(record: ContainerRecord, before: dict[str, Any]) -> dict[str, Any]:
    from rootlay.vfs.docker.usage import usage_json

    return usage_json(record, before)


def _row(usage: dict[str, Any], name: str, *, whole: bool) -> dict[str, str]:
    """Return a row with the members of `docker stats --format`."""
    cpu, earlier, memory = usage["cpu_stats"], usage["precpu_stats"], usage["memory_stats"]
    spent = cpu["cpu_usage"]["total_usage"] - earlier["cpu_usage"]["total_usage"]
    passed = cpu["system_cpu_usage"] - earlier.get("system_cpu_usage", 0)
    percent = 100 * max(0, spent) / passed * cpu["online_cpus"] if passed > 0 else 0.0
    used, limit = memory["usage"], memory["limit"]
    io = {item["op"]: item["value"] for item in usage["blkio_stats"]["io_service_bytes_recursive"]}
    identity = usage["id"] if whole else usage["id"][:12]
    return {
        "Container": name or identity,
        "ID": identity,
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
        LIST_FORMAT,
        Option(("--no-stream",), "flag", "Print one result, and exit."),
        Option(("--no-trunc",), "flag", "Do not shorten IDs."),
    ),
    arguments=(Argument("container", "Names or IDs.", required=False, many=True),),
)

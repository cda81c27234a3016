"""`rootlay ps`: list containers."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from rootlay.cli.docker.options import FILTER, JSON, LIST_FORMAT, NO_TRUNC, QUIET
from rootlay.cli.listing import quoted
from rootlay.cli.spec import Context, Option, UsageError, Values, Verb

if TYPE_CHECKING:
    from rootlay.store.containers.record import ContainerRecord


def action(values: Values, context: Context) -> int:
    if values.flag("json"):
        context.out.json(list(_own_rows(context, everything=values.flag("all"))))
        return 0
    from rootlay.cli.docker.rows import CONTAINERS, container_rows
    from rootlay.cli.docker.table import print_rows
    from rootlay.store.model.value import replace

    listing = CONTAINERS
    if values.flag("size"):
        listing = replace(CONTAINERS, table=CONTAINERS.table + r"\t{{.Size}}")
    rows = container_rows(_found(values, context), trunc=not values.flag("no_trunc"))
    print_rows(context, listing, rows, values.text("format"), quiet=values.flag("quiet"))
    return 0


def _found(values: Values, context: Context) -> list[dict[str, Any]]:
    """Return the containers in Docker's JSON, newest first."""
    from rootlay.cli.docker.ask import ask, filters_of

    last = 1 if values.flag("latest") else values.number("last")
    if last is not None and last < -1:
        raise UsageError(f"--last {last}: expected a positive number, or -1 for all")
    limited = last is not None and last > 0
    given = values.text("format") or ""
    sized = values.flag("size") or ".Size" in given or "json" in given
    filters = filters_of(values.many("filter"))
    everything = values.flag("all") or limited
    found = ask(context, "GET", "/containers/json", all=everything, size=sized, filters=filters)
    if not everything and filters.keys().isdisjoint(("status", "exited", "health")):
        found += _left_behind(context, {each["Id"] for each in found}, sized, filters)
    newest = sorted(found, key=lambda each: -each["Created"])
    return newest[:last] if limited else newest


def _left_behind(context: Context, known: set[str], sized: bool, filters: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Return the containers whose main program has ended, and of which other programs still run."""
    from rootlay.cli.docker.ask import ask
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.docker.times import human_duration
    from rootlay.vfs.run.processes import running_containers

    containers = Containers(context.root)
    launched, _ = containers.maybe_running()
    running = running_containers(os.path.realpath(containers.path), launched) - known if launched - known else set()
    if not running:
        return []
    everything = ask(context, "GET", "/containers/json", all=True, size=sized, filters=filters)
    found = [each for each in everything if each["Id"] in running]
    for each in found:
        age_s = (time.time_ns() - containers.find(each["Id"]).state().started_ns) / 1e9
        each |= {"State": "running", "Status": f"Up {human_duration(age_s)}"}
    return found


def _own_rows(context: Context, *, everything: bool) -> list[dict[str, Any]]:
    """Return the rows of --json."""
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.run.processes import running_containers

    containers = Containers(context.root)
    launched, elsewhere = containers.maybe_running()
    running = running_containers(os.path.realpath(containers.path), launched)
    records = containers.iter_all() if everything else containers.iter_of(launched | elsewhere)
    rows = [_own_row(record, record.id in running) for record in records]
    return [row for row in rows if row["running"] or everything]


def _own_row(record: ContainerRecord, running: bool) -> dict[str, Any]:
    from rootlay.vfs.docker.containers import status_of

    state = record.state()
    return {
        "id": record.id,
        "image": record.config.image or "(directories)",
        "command": quoted(record.config.argv),
        "created_ns": record.config.created_ns,
        "running": running or bool(state.elsewhere),
        "machine": state.elsewhere,
        "exit_code": state.exit_code,
        "status": status_of(record).text(),
        "ports": list(record.config.ports),
        "name": record.name,
    }


VERB = Verb(
    name="ps",
    help="List containers.",
    action=action,
    options=(
        Option(("-a", "--all"), "flag", "Show all containers (default: only running ones)."),
        FILTER,
        LIST_FORMAT,
        Option(("-n", "--last"), "int", "Show the N containers created last, whatever their state.", "N"),
        Option(("-l", "--latest"), "flag", "Show the container created last, whatever its state."),
        NO_TRUNC,
        QUIET,
        Option(("-s", "--size"), "flag", "Show the size of the changes."),
        JSON,
    ),
    examples=('rootlay ps -a --filter status=exited --format "{{.ID}} {{.Names}}"',),
)

"""`rootlay top`: list the processes of a container."""

from __future__ import annotations

from rootlay.cli.spec import Argument, Context, Values, Verb

_COLUMN = 20  # as Docker


def action(values: Values, context: Context) -> int:
    from rootlay.cli.template.tabwriter import align
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.docker.usage import process_table
    from rootlay.vfs.lifecycle.errors import NotRunning
    from rootlay.vfs.run.processes import list_guests
    from rootlay.vfs.run.status import is_running

    record = Containers(context.root).find(values.required("container"))
    if not is_running(record):
        raise NotRunning(record.name)
    pids = [guest.pid for guest in list_guests(record.real_path)]
    titles, rows = process_table(pids, " ".join(values.many("options")) or "-ef")
    record.note("top")
    context.out.lines(align("\n".join(map("\t".join, (titles, *rows))), minimum=_COLUMN))
    return 0


VERB = Verb(
    name="top",
    help="List the processes of a container, by the host's ps.",
    action=action,
    arguments=(
        Argument("container", "Name or ID."),
        Argument("options", "Options of ps (default: -ef).", required=False, many=True),
    ),
    passes_on=True,
)

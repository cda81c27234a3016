"""`rootlay snapshot`: save states of a container's files."""

from __future__ import annotations

from rootlay.cli.listing import Column, age, print_table
from rootlay.cli.progress import show_progress
from rootlay.cli.several import each
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.api.container import Container

    what, names = values.required("action"), values.many("name")
    container = Container(Containers(context.root).find(values.required("container")))
    if what == "create" and len(names) < 2:
        with show_progress(context, "snapshot") as progress:
            made = container.snapshot(*names, progress=progress)
        context.out.line(made.name)
    elif what == "ls" and not names:
        rows = [{"name": s.name, "created_ns": s.created_ns, "layers": len(s.frozen)} for s in container.snapshots()]
        columns = (
            Column("SNAPSHOT", lambda row: row["name"]),
            Column("CREATED", lambda row: age(row["created_ns"]) + " ago"),
            Column("LAYERS", lambda row: str(row["layers"])),
        )
        print_table(context, rows, columns, as_json=values.flag("json"))
    elif what == "rm" and names:

        def remove(name: str) -> None:
            container.remove_snapshot(name)
            context.out.line(name)

        return each(names, remove, context, "snapshot")
    else:
        raise UsageError("snapshot create CONTAINER [NAME], snapshot ls CONTAINER, or snapshot rm CONTAINER NAME…")
    return 0


VERB = Verb(
    name="snapshot",
    help="Create, list or remove snapshots of a stopped container. No file is copied.",
    action=action,
    options=(Option(("--json",), "flag", "ls: as JSON."),),
    arguments=(
        Argument("action", "`create`, `ls` or `rm`."),
        Argument("container", "Name or ID."),
        Argument(
            "name", "create: snapshot name (default: generated). rm: snapshot to remove.", required=False, many=True
        ),
    ),
    examples=("rootlay snapshot create c1 before", "rootlay rollback c1 before", "rootlay snapshot rm c1 before"),
)

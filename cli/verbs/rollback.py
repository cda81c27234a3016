"""`rootlay rollback`: return to a snapshot."""

from __future__ import annotations

from rootlay.cli.spec import Argument, Context, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.api.container import Container

    reference = values.required("container")
    Container(context.root, Containers(context.root).find(reference)).rollback(values.text("snapshot") or "")
    context.out.line(reference)
    return 0


VERB = Verb(
    name="rollback",
    help="Return a stopped container's files to a snapshot. What was changed since, and is in no snapshot, is lost.",
    action=action,
    arguments=(
        Argument("container", "Name or ID."),
        Argument("snapshot", "Name of the snapshot (default: the youngest).", required=False),
    ),
)

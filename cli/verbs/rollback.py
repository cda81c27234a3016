"""`rootlay rollback`: return to a snapshot."""

from __future__ import annotations

from rootlay.cli.spec import Argument, Context, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.api.container import Container

    reference = values.required("container")
    Container(Containers(context.root).find(reference)).rollback(values.text("snapshot") or "")
    context.out.line(reference)
    return 0


VERB = Verb(
    name="rollback",
    help="Roll a stopped container back to a snapshot. Changes that are in no snapshot are lost.",
    action=action,
    arguments=(
        Argument("container", "Name or ID."),
        Argument("snapshot", "Snapshot name (default: the newest).", required=False),
    ),
)

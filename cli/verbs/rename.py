"""`rootlay rename`: give a container another name."""

from __future__ import annotations

from rootlay.cli.spec import Argument, Context, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.store.networks.members import rename_container

    containers = Containers(context.root)
    rename_container(containers.find(values.required("container")), values.required("name"))
    return 0


VERB = Verb(
    name="rename",
    help="Rename a container.",
    action=action,
    arguments=(Argument("container", "Name or ID."), Argument("name", "New name.")),
)

"""`rootlay fork`: a new container with the state of another one."""

from __future__ import annotations

from rootlay.cli.spec import Argument, Context, Option, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.containers.snapshots import find_snapshot, fork_container

    reference, _, snapshot = values.required("container").partition("@")
    record = Containers(context.root).find(reference)
    wanted = find_snapshot(record, snapshot) if snapshot else None
    context.out.line(fork_container(record, values.text("name") or "", wanted, ()).id)
    return 0


VERB = Verb(
    name="fork",
    help=(
        "Create a container from another container or its snapshot. No file is copied; later changes are independent."
    ),
    action=action,
    options=(Option(("--name",), "text", "Name of the new container (default: generated).", "NAME"),),
    arguments=(Argument("container", "A stopped CONTAINER, or CONTAINER@SNAPSHOT."),),
)

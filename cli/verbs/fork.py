"""`rootlay fork`: a new container with the state of another one."""

from __future__ import annotations

from rootlay.cli.spec import Argument, Context, Option, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.containers.snapshots import find_snapshot, fork_container

    containers = Containers(context.root)
    reference, _, snapshot = values.required("container").partition("@")
    record = containers.find(reference)
    wanted = find_snapshot(record, snapshot) if snapshot else None
    context.out.line(fork_container(containers, record, values.text("name") or "", wanted, ()).id)
    return 0


VERB = Verb(
    name="fork",
    help="Create a container with the configuration and the files of another one, or of its snapshot. "
    "Nothing is copied; what either changes later is its own.",
    action=action,
    options=(Option(("--name",), "text", "Name of the new container (default: chosen).", "NAME"),),
    arguments=(Argument("container", "CONTAINER (stopped) or CONTAINER@SNAPSHOT."),),
)

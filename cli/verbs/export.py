"""`rootlay export`: write a container's whole file system as a tar."""

from __future__ import annotations

from pathlib import Path

from rootlay.cli.progress import show_progress
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.store.disk.outfile import output_file
    from rootlay.vfs.api.container import Container

    container = Container(Containers(context.root).find(values.required("container")))
    target = values.text("output")
    if target is None and context.out.isatty():
        raise UsageError("will not write an archive to a terminal: use -o FILE")
    with show_progress(context, "exporting") as progress:
        if target is None or target == "-":
            container.export(context.out.binary, progress=progress)
        else:
            with output_file(Path(target)) as out:
                container.export(out, progress=progress)
    return 0


VERB = Verb(
    name="export",
    help="Export a container's file system as a tar archive.",
    action=action,
    options=(Option(("-o", "--output"), "text", "File to write (default: standard output).", "FILE"),),
    arguments=(Argument("container", "Name or ID."),),
)

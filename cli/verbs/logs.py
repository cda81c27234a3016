"""`rootlay logs`: print the output of a detached container's program."""

from __future__ import annotations

import os
import shutil
import time

from rootlay.cli.spec import Argument, Context, Option, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.run.processes import has_guests

    record = Containers(context.root).find(values.required("container"))
    if not record.log.exists():
        context.err.line(
            f"rootlay: {record.name} has no log: only detached programs (run -d, start) write one; "
            "other programs write to their terminal"
        )
        return 0
    with record.log.open("rb") as log:
        tail = values.number("tail")
        if tail is not None:
            lines = log.read().splitlines(keepends=True)
            context.out.binary.writelines(lines[len(lines) - min(tail, len(lines)) :])
        while True:
            alive = values.flag("follow") and has_guests(os.path.realpath(record.path))
            shutil.copyfileobj(log, context.out.binary)
            context.out.binary.flush()
            if not alive:
                return 0
            time.sleep(0.1)


VERB = Verb(
    name="logs",
    help="Show the output of a detached container (standard output and error, in order).",
    action=action,
    options=(
        Option(("-f", "--follow"), "flag", "Follow log output."),
        Option(("-n", "--tail"), "int", "Number of lines to show from the end.", "LINES"),
    ),
    arguments=(Argument("container", "Name or ID."),),
)

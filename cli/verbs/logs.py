"""`rootlay logs`: print the output of a detached container's program."""

from __future__ import annotations

import os
import shutil
import time

from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.run.processes import has_guests

    record = Containers(context.root).find(values.required("container"))
    if not record.log.exists():
        context.err.line(
            f"rootlay: {record.name} has no log: only detached programs (run -d, start) write one; "
            "others write to the terminal or file they were started with"
        )
        return 0
    with record.log.open("rb") as log:
        tail = _tail(values)
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


def _tail(values: Values) -> int | None:
    """Return the number of lines; None for all. As in Docker, a negative number means all."""
    text = values.text("tail") or "all"
    if text == "all":
        return None
    try:
        return int(text) if int(text) >= 0 else None
    except ValueError:
        raise UsageError(f"--tail {text[:40]}: expected a number of lines, or all") from None


VERB = Verb(
    name="logs",
    help="Show the output of a detached container (standard output and error, in order).",
    action=action,
    options=(
        Option(("-f", "--follow"), "flag", "Follow log output."),
        Option(("-n", "--tail"), "text", "Number of lines to show from the end; `all` for all.", "LINES"),
        Option(("--details",), "flag", "Not built yet.", refused="it is not built yet; leave it out"),
        Option(("--since",), "text", "Not built yet.", refused="it is not built yet; leave it out"),
        Option(("--until",), "text", "Not built yet.", refused="it is not built yet; leave it out"),
        Option(("-t", "--timestamps"), "flag", "Not built yet.", refused="it is not built yet; leave it out"),
    ),
    arguments=(Argument("container", "Name or ID."),),
)

"""`rootlay diff`: what was changed in a container."""

from __future__ import annotations

import json
import os

from rootlay.cli.spec import Argument, Context, Option, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.container import Containers
    from rootlay.vfs.container import Container

    changes = Container(context.root, Containers(context.root).find(values.required("container"))).diff()
    if values.flag("json"):
        rows = [{"kind": change.kind, "path": os.fsdecode(change.path.raw)} for change in changes]
        print(json.dumps(rows, indent=2), file=context.out)
        return 0
    for change in changes:
        context.out.write(
            f"{change.kind} {os.fsdecode(change.path.raw)}\n".encode("utf-8", "surrogateescape").decode(
                "utf-8", "backslashreplace"
            )
        )
    return 0


VERB = Verb(
    name="diff",
    help="List what was added (A), changed (C) and deleted (D) in a container. The cost follows the change.",
    action=action,
    options=(Option(("--json",), "flag", "As JSON."),),
    arguments=(Argument("container", "Name or ID."),),
)

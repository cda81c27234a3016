"""`rootlay prune`: remove what is not needed."""

from __future__ import annotations

import os

from rootlay.cli.listing import size
from rootlay.cli.spec import Context, Option, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.container import Containers
    from rootlay.store.store import Store
    from rootlay.vfs.needed import needed
    from rootlay.vfs.run.processes import has_guests

    store = Store.open(context.root)
    containers = Containers(store.root)
    freed = 0
    for record in list(containers.iter_all()):
        if record.state().finished_ns and not has_guests(os.path.realpath(record.path)):
            freed += containers.discard(record)
            print(f"container {record.name}", file=context.out)
    containers.sweep()
    freed += store.prune(in_use=lambda: needed(store)).freed_bytes
    print(f"Total reclaimed space: {size(freed)}", file=context.out)
    return 0


VERB = Verb(
    name="prune",
    help="Remove stopped containers, leftovers, and what no image, no container and no build cache needs.",
    action=action,
    options=(Option(("-f", "--force"), "flag", "Accepted as in Docker; nothing is asked anyway."),),
)

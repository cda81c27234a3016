"""`rootlay prune`: remove what is not needed."""

from __future__ import annotations

import json

from rootlay.cli.listing import size
from rootlay.cli.spec import Context, Option, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.store import Store
    from rootlay.vfs.prune import prune

    dry_run = values.flag("dry_run")
    done = prune(Store.open(context.root), dry_run=dry_run)
    if values.flag("json"):
        row = {
            "containers": done.containers,
            "images": [str(digest) for digest in done.removed.deleted],
            "places": done.removed.places,
            "freed_bytes": done.freed_bytes,
            "dry_run": dry_run,
        }
        print(json.dumps(row, indent=2), file=context.out)
        return 0
    for name in done.containers:
        print(f"container {name}", file=context.out)
    for digest in done.removed.deleted:
        print(f"image {digest}", file=context.out)
    for place in done.removed.places if dry_run else ():
        print(f"file {place}", file=context.out)
    print(f"Total {'reclaimable' if dry_run else 'reclaimed'} space: {size(done.freed_bytes)}", file=context.out)
    return 0


VERB = Verb(
    name="prune",
    help="Remove stopped containers, leftovers, and what no image, no container and no build cache needs.",
    action=action,
    options=(
        Option(("--dry-run",), "flag", "Say what would go, and remove nothing."),
        Option(("-f", "--force"), "flag", "Accepted as in Docker; nothing is asked anyway."),
        Option(("--json",), "flag", "As JSON."),
    ),
)

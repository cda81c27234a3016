"""`rootlay prune`: remove unneeded objects."""

from __future__ import annotations

from rootlay.cli.docker.confirm import confirmed
from rootlay.cli.listing import size
from rootlay.cli.progress import show_progress
from rootlay.cli.spec import Context, Option, Values, Verb

_WARNING = """This will remove:
  - all stopped containers
  - all images without a name that no container uses
  - what ended commands have left
"""


def action(values: Values, context: Context) -> int:
    from rootlay.store.store import ImageStore
    from rootlay.vfs.api.prune import prune

    dry_run = values.flag("dry_run")
    if not dry_run and not confirmed(context, values, _WARNING):
        return 0
    with show_progress(context, "pruning", hidden=dry_run) as progress:
        done = prune(ImageStore.open(context.root), dry_run=dry_run, progress=progress)
    if values.flag("json"):
        row = {
            "containers": done.containers,
            "images": [str(digest) for digest in done.removed.deleted],
            "places": done.removed.places,
            "freed_bytes": done.freed_bytes,
            "dry_run": dry_run,
        }
        context.out.json(row)
        return 0
    for name in done.containers:
        context.out.line(f"container {name}")
    for digest in done.removed.deleted:
        context.out.line(f"image {digest}")
    for place in done.removed.places if dry_run else ():
        context.out.line(f"file {place}")
    context.out.line(f"Total {'reclaimable' if dry_run else 'reclaimed'} space: {size(done.freed_bytes)}")
    return 0


VERB = Verb(
    name="prune",
    help="Remove stopped containers and unused data.",
    action=action,
    options=(
        Option(("--dry-run",), "flag", "Show what would be removed, and remove nothing."),
        Option(("-f", "--force"), "flag", "Do not ask for confirmation."),
        Option(("--json",), "flag", "As JSON."),
    ),
)

"""`rootlay builder`: show the build cache, and remove unused parts of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rootlay.cli.docker.confirm import confirmed
from rootlay.cli.listing import Column, Row, age, print_table, size
from rootlay.cli.spec import Context, Option, UsageError, Values, Verb
from rootlay.cli.subverbs import make_group

if TYPE_CHECKING:
    from rootlay.vfs.build.cache.usage import CacheItem

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+)([smhd])")


def _show(values: Values, context: Context) -> int:
    from rootlay.store.store import ImageStore
    from rootlay.vfs.build.cache.usage import list_cache

    items = list_cache(ImageStore.open(context.root))
    columns = (
        Column("ID", lambda row: row["id"][:12]),
        Column("KIND", lambda row: row["kind"]),
        Column("SIZE", lambda row: size(row["size_bytes"])),
        Column("LAST USED", lambda row: age(int(row["used_s"] * 1e9)) + " ago"),
        Column("IN AN IMAGE", lambda row: "yes" if row["shared"] else ""),
        Column("STEP", lambda row: row["text"][:80]),
    )
    print_table(context, list(map(_row, items)), columns, as_json=values.flag("json"))
    if not values.flag("json"):
        own = {item.layer or item.id: item.size_bytes for item in items if not item.shared}
        context.out.line(f"Reclaimable: {size(sum(own.values()))}")
    return 0


def _prune(values: Values, context: Context) -> int:
    from rootlay.store.store import ImageStore
    from rootlay.vfs.build.cache.usage import prune_cache

    dry_run = values.flag("dry_run")
    older = _older_than(values.many("filter"))
    what = "all build cache" if values.flag("all") else "the build cache that no image has"
    if not dry_run and not confirmed(context, values, f"This will remove {what}."):
        return 0
    gone, freed = prune_cache(
        ImageStore.open(context.root), everything=values.flag("all"), older_than_s=older, dry_run=dry_run
    )
    if values.flag("json"):
        row = {"items": list(map(_row, gone)), "freed_bytes": freed, "dry_run": dry_run}
        context.out.json(row)
        return 0
    for item in gone:
        context.out.line(f"{item.kind} {item.id[:12]} {item.text[:80]}".rstrip())
    context.out.line(f"Total {'reclaimable' if dry_run else 'reclaimed'} space: {size(freed)}")
    return 0


def _row(item: CacheItem) -> Row:
    from rootlay.store.model.value import as_dict

    row = as_dict(item)
    del row["layer"]
    return row


def _older_than(filters: tuple[str, ...]) -> float:
    """Parse `until=24h` to seconds. Raises UsageError."""
    seconds = 0.0
    for text in filters:
        name, _, value = text.partition("=")
        parts = _DURATION.findall(value)
        if name != "until" or not parts or "".join(a + b for a, b in parts) != value:
            raise UsageError(f"--filter {text}: expected until=DURATION, such as until=24h or until=7d")
        seconds = max(seconds, float(sum(int(count) * _UNITS_S[unit] for count, unit in parts)))
    return seconds


_AS_JSON = Option(("--json",), "flag", "As JSON.")
DU_OPTIONS = (
    _AS_JSON,
    Option(
        ("--filter",),
        "many",
        "Show only what fits.",
        "FILTER",
        refused="the list is not filtered; use --json and a program such as jq",
    ),
    Option(("--verbose",), "flag", "More details.", accepted="all details are shown"),
)
PRUNE_OPTIONS = (
    Option(("-a", "--all"), "flag", "Remove everything, including RUN --mount=type=cache directories."),
    Option(("--filter",), "many", "until=DURATION: remove only what was not used for that long.", "FILTER"),
    Option(("--dry-run",), "flag", "Show what would be removed, and remove nothing."),
    Option(("-f", "--force"), "flag", "Do not ask for confirmation."),
    Option(
        ("--keep-storage",),
        "text",
        "Amount to keep.",
        "BYTES",
        refused="the cache is emptied by age; use --filter until=24h",
    ),
    _AS_JSON,
)
VERBS = (
    Verb("du", "Show the build cache.", _show, DU_OPTIONS),
    Verb("prune", "Remove unused parts of the build cache.", _prune, PRUNE_OPTIONS),
)

VERB = make_group("builder", "The build cache", VERBS, {"build": "build"})

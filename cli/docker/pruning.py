"""`prune` of the groups: the request and its report, as docker writes them."""

from __future__ import annotations

from typing import Any

from rootlay.cli.docker.ask import ask, filters_of
from rootlay.cli.docker.confirm import confirmed
from rootlay.cli.docker.units import human_size
from rootlay.cli.progress import show_progress
from rootlay.cli.spec import Context, Values

_KINDS = {
    "containers": "Deleted Containers:",
    "networks": "Deleted Networks:",
    "volumes": "Deleted Volumes:",
    "images": "Deleted Images:",
    "build": "Deleted build cache objects:",
}
_MEMBERS = {"build": "CachesDeleted"}
_LABELS = {"build": "build cache"}


def prune_kind(context: Context, kind: str, filters: dict[str, list[str]], **query: Any) -> int:
    """Prune one kind of objects and list them. Return the freed bytes."""
    with show_progress(context, f"pruning {_LABELS.get(kind, kind)}"):  # the request tells no amounts
        found = ask(context, "POST", f"/{kind}/prune", filters=filters, **query)
    removed = found.get(_MEMBERS.get(kind, f"{kind.capitalize()}Deleted")) or []
    if removed:
        context.out.line(_KINDS[kind])
        context.out.lines(map(_shown, removed))
        context.out.line("")
    return int(found.get("SpaceReclaimed") or 0)


def _shown(item: str | dict[str, str]) -> str:
    if isinstance(item, str):
        return item
    return ", ".join(f"{name.lower()}: {text}" for name, text in item.items())


def prune_verb(context: Context, values: Values, kind: str, warning: str, **more: list[str]) -> int:
    """Ask, prune one kind, and print the freed space; `more` are further filters."""
    filters = filters_of(values.many("filter")) | more
    if not confirmed(context, values, warning):
        return 0
    freed = prune_kind(context, kind, filters)
    if kind != "networks":
        context.out.line(f"Total reclaimed space: {human_size(freed)}")
    return 0

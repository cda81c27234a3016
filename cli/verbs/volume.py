"""`rootlay volume`: make, list, inspect and remove volumes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rootlay.cli.listing import Column, Row, print_table, size
from rootlay.cli.several import each
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb
from rootlay.cli.subverbs import make_group

if TYPE_CHECKING:
    from rootlay.store.volumes.volumes import Volume

SWARM = "it is about the volumes of a swarm's cluster, and rootlay has none; leave it out"
FORMAT = Option(("-f", "--format"), "text", "json.", "FORMAT")


def _create(values: Values, context: Context) -> int:
    from rootlay.cli.container.mountforms import volume_options
    from rootlay.store.volumes.volumes import Volumes

    labels = dict(text.partition("=")[::2] for text in values.many("label"))
    options = dict(text.split("=", 1) for text in volume_options("volume create -o", values.many("opt")))
    context.out.line(Volumes(context.root).create(values.text("volume") or "", labels, options).name)
    return 0


def _inspect(values: Values, context: Context) -> int:
    from rootlay.store.volumes.volumes import Volumes

    _check_format(values)
    found: list[dict[str, Any]] = []
    code = each(
        values.many("volume"),
        lambda name: found.append(volume_json(Volumes(context.root).find(name))),
        context,
        "volume inspect",
    )
    if values.text("format") == "json":
        context.out.line(json.dumps(found))
    else:
        context.out.json(found, indent=4)
    return code


def volume_json(volume: Volume) -> dict[str, Any]:
    """Return the JSON of `docker volume inspect`."""
    from datetime import UTC, datetime

    return {
        "CreatedAt": datetime.fromtimestamp(volume.created_ns // 10**9, UTC).isoformat().replace("+00:00", "Z"),
        "Driver": "local",
        "Labels": dict(volume.labels) or None,
        "Mountpoint": str(volume.path),
        "Name": volume.name,
        "Options": dict(volume.options) or None,
        "Scope": "local",
    }


def _check_format(values: Values) -> None:
    if values.text("format") not in (None, "", "json", "table"):
        raise UsageError(f"--format {values.required('format')[:40]}: expected json")


def _list(values: Values, context: Context) -> int:
    _check_format(values)
    rows: list[Row] = [volume_json(volume) for volume in _filtered(values, context)]
    if values.flag("quiet"):
        context.out.lines(row["Name"] for row in rows)
    elif values.text("format") == "json":
        context.out.lines(map(json.dumps, rows))
    else:
        columns = (Column("DRIVER", lambda row: row["Driver"]), Column("VOLUME NAME", lambda row: row["Name"]))
        print_table(context, rows, columns, as_json=False)
    return 0


def _filtered(values: Values, context: Context) -> Iterator[Volume]:
    """Yield the volumes that pass each --filter: dangling, driver, label, label!, name."""
    from rootlay.store.volumes.volumes import Volumes

    volumes = Volumes(context.root)
    wanted: dict[str, list[str]] = {}
    for text in values.many("filter"):
        key, sign, item = text.partition("=")
        key, negated = key.removesuffix("!"), "!" if key.endswith("!") else ""
        if not sign or key + negated not in ("dangling", "driver", "label", "label!", "name"):
            raise UsageError(f"--filter {text[:80]}: expected dangling, driver, label, label! or name, with =VALUE")
        wanted.setdefault(key + negated, []).append(item)
    used = volumes.users() if "dangling" in wanted else {}
    for volume in volumes.iter_all():
        labels = volume.labels
        if (
            all(_has_label(labels, text) for text in wanted.get("label", ()))
            and not any(_has_label(labels, text) for text in wanted.get("label!", ()))
            and ("name" not in wanted or any(text in volume.name for text in wanted["name"]))
            and ("driver" not in wanted or "local" in wanted["driver"])
            and ("dangling" not in wanted or (volume.name not in used) == (wanted["dangling"][-1] in ("true", "1")))
        ):
            yield volume


def _has_label(labels: Any, text: str) -> bool:
    key, sign, item = text.partition("=")
    return key in labels and (not sign or labels[key] == item)


def _prune(values: Values, context: Context) -> int:
    from rootlay.store.disk.removetree import remove_tree
    from rootlay.store.volumes.volumes import Volumes

    freed, removed = 0, []
    for volume in list(_filtered(values, context)):
        if values.flag("all") or volume.is_anonymous:
            for trash in Volumes(context.root).remove_unused((volume.name,)):
                freed += remove_tree(trash)
                removed.append(volume.name)
    context.out.lines(["Deleted Volumes:", *removed, ""] if removed else [])
    context.out.line(f"Total reclaimed space: {size(freed)}")
    return 0


def _remove(values: Values, context: Context) -> int:
    from rootlay.store.disk.removetree import remove_tree
    from rootlay.store.volumes.volumes import UnknownVolume, Volumes

    def remove(name: str) -> None:
        try:
            remove_tree(Volumes(context.root).remove(name))
        except UnknownVolume:
            if not values.flag("force"):
                raise
        context.out.line(name)

    return each(values.many("volume"), remove, context, "volume rm")


def _update(values: Values, context: Context) -> int:
    raise UsageError(f"volume update {values.text('volume') or ''}: {SWARM}")


_FILTER = Option(("-f", "--filter"), "many", "dangling, driver, label, label! or name.", "KEY=VALUE")
_NAMES = (Argument("volume", "Name.", many=True),)
SUBVERBS = (
    Verb(
        name="create",
        help="Make a volume, and print its name.",
        action=_create,
        options=(
            Option(
                ("-d", "--driver"),
                "text",
                "Volume driver.",
                "NAME",
                accepted="volumes are directories of the store",
                refused="volumes are directories of the store; for another place: -o type=none -o o=bind -o device=DIR",
                takes=("local",),
            ),
            Option(("--label",), "many", "Label the volume.", "KEY=VALUE"),
            Option(("-o", "--opt"), "many", "Option: type=none, o=bind and device=DIRECTORY.", "KEY=VALUE"),
            *(
                Option((f"--{name}",), "text", "For a swarm.", "TEXT", refused=SWARM)
                for name in ("availability", "group", "limit-bytes", "required-bytes", "scope", "sharing", "type")
            ),
            *(
                Option((f"--{name}",), "many", "For a swarm.", "TEXT", refused=SWARM)
                for name in ("secret", "topology-preferred", "topology-required")
            ),
        ),
        arguments=(Argument("volume", "Name (default: an anonymous volume).", required=False),),
    ),
    Verb(name="inspect", help="Show volumes as JSON.", action=_inspect, options=(FORMAT,), arguments=_NAMES),
    Verb(
        name="ls",
        help="List volumes.",
        action=_list,
        options=(
            Option(("--cluster",), "flag", "Only cluster volumes.", refused=SWARM),
            _FILTER,
            Option(("--format",), "text", "table or json.", "FORMAT"),
            Option(("-q", "--quiet"), "flag", "Names only."),
        ),
    ),
    Verb(
        name="prune",
        help="Remove the volumes that no container uses: the anonymous ones, or all.",
        action=_prune,
        options=(
            Option(("-a", "--all"), "flag", "Also those with a name."),
            Option(("--filter",), "many", "label or label!.", "KEY=VALUE"),
            Option(("-f", "--force"), "flag", "Do not ask.", accepted="nothing is asked"),
        ),
    ),
    Verb(
        name="rm",
        help="Remove volumes that no container uses.",
        action=_remove,
        options=(Option(("-f", "--force"), "flag", "Ignore missing volumes."),),
        arguments=_NAMES,
    ),
    Verb(
        name="update",
        help="Change a cluster volume.",
        action=_update,
        options=(Option(("--availability",), "text", "For a swarm.", "TEXT", refused=SWARM),),
        arguments=(Argument("volume", "Name.", required=False),),
    ),
)
VERB = make_group("volume", "Make, list, inspect and remove volumes", SUBVERBS)

"""`rootlay volume`: named volumes (rootlay.store.volumes)."""

from __future__ import annotations

from rootlay.cli.docker.options import FILTER, FORCE, FORMAT, LIST_FORMAT, PRUNE_FILTER, QUIET, SWARM_ONLY
from rootlay.cli.docker.pruning import prune_verb
from rootlay.cli.several import each
from rootlay.cli.spec import Argument, Context, Kind, Option, UsageError, Values, Verb
from rootlay.cli.subverbs import make_group
from rootlay.cli.verbs.inspect import inspect_all


def _create(values: Values, context: Context) -> int:
    from rootlay.cli.container.mountforms import volume_options
    from rootlay.store.volumes.volumes import Volumes

    options = dict(text.split("=", 1) for text in volume_options("volume create -o", values.many("opt")))
    labels = pairs_of(values.many("label"))
    context.out.line(Volumes(context.root).create(values.text("volume") or "", labels, options).name)
    return 0


def pairs_of(texts: tuple[str, ...]) -> dict[str, str]:
    """Parse `KEY=VALUE`; KEY alone has an empty value."""
    return {name: text for name, _, text in (given.partition("=") for given in texts)}


def _list(values: Values, context: Context) -> int:
    from rootlay.cli.docker.ask import ask, filters_of
    from rootlay.cli.docker.rows import VOLUMES, volume_rows
    from rootlay.cli.docker.table import natural, print_rows

    found = ask(context, "GET", "/volumes", filters=filters_of(values.many("filter")))["Volumes"]
    rows = volume_rows(sorted(found, key=lambda each: natural(each["Name"])))
    print_rows(context, VOLUMES, rows, values.text("format"), quiet=values.flag("quiet"))
    return 0


def _inspect(values: Values, context: Context) -> int:
    return inspect_all(values, context, ("volume",))


def _remove(values: Values, context: Context) -> int:
    from rootlay.cli.progress import show_progress
    from rootlay.store.disk.removetree import remove_tree
    from rootlay.store.disk.walktree import disk_bytes
    from rootlay.store.model.progress import Meter
    from rootlay.store.volumes.volumes import UnknownVolume, Volumes

    volumes = Volumes(context.root)

    def remove(name: str) -> None:
        try:
            trash = volumes.remove(name)
        except UnknownVolume:
            if not values.flag("force"):
                raise
        else:
            with show_progress(context, "removing volumes") as progress:
                meter = Meter(progress, "removing volumes", lambda: disk_bytes(trash))
                remove_tree(trash, freed=meter.add)
        context.out.line(name)

    return each(values.many("volume"), remove, context, "volume rm")


def _prune(values: Values, context: Context) -> int:
    everything = values.flag("all")
    what = "all local volumes" if everything else "anonymous local volumes"
    more = {"all": ["true"]} if everything else {}
    return prune_verb(
        context, values, "volumes", f"This will remove {what} not used by at least one container.", **more
    )


def _update(values: Values, context: Context) -> int:
    raise UsageError(
        "volume update: only cluster volumes can be updated, and rootlay has no swarm; create a new volume"
    )


def _cluster(name: str, kind: Kind, text: str) -> Option:
    return Option((f"--{name}",), kind, text, "" if kind == "flag" else "VALUE", refused=SWARM_ONLY)


_CLUSTER = (
    _cluster("availability", "text", "Availability of a cluster volume."),
    _cluster("group", "text", "Group of a cluster volume."),
    _cluster("limit-bytes", "text", "Largest size of a cluster volume."),
    _cluster("required-bytes", "text", "Smallest size of a cluster volume."),
    _cluster("scope", "text", "Access scope of a cluster volume."),
    _cluster("secret", "many", "Secrets of a cluster volume."),
    _cluster("sharing", "text", "Sharing of a cluster volume."),
    _cluster("topology-preferred", "many", "Preferred topology of a cluster volume."),
    _cluster("topology-required", "many", "Required topology of a cluster volume."),
    _cluster("type", "text", "Access type of a cluster volume."),
)
VERBS = (
    Verb(
        "create",
        "Create a volume.",
        _create,
        (
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
            *_CLUSTER,
        ),
        (Argument("volume", "Name (default: a new one).", required=False),),
    ),
    Verb(
        "ls",
        "List volumes.",
        _list,
        (_cluster("cluster", "flag", "Show only cluster volumes."), FILTER, LIST_FORMAT, QUIET),
    ),
    Verb(
        "inspect",
        "Show details of volumes as JSON.",
        _inspect,
        (FORMAT,),
        (Argument("name", "Volumes.", many=True),),
    ),
    Verb(
        "rm",
        "Remove volumes that no container uses.",
        _remove,
        (Option(("-f", "--force"), "flag", "Do not fail for missing volumes."),),
        (Argument("volume", "Volumes.", many=True),),
    ),
    Verb(
        "prune",
        "Remove anonymous volumes that no container uses; with --all also named ones.",
        _prune,
        (Option(("-a", "--all"), "flag", "Remove all unused volumes, not just anonymous ones."), PRUNE_FILTER, FORCE),
    ),
    Verb(
        "update",
        "Refused: only cluster volumes can be updated.",
        _update,
        (_cluster("availability", "text", "Availability of a cluster volume."),),
        (Argument("volume", "Volume.", required=False),),
    ),
)

VERB = make_group("volume", "Volumes", VERBS)

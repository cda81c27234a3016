"""`rootlay system`: disk usage, information, events, and the removal of all that is unused."""

from __future__ import annotations

from rootlay.cli.docker.ask import filters_of
from rootlay.cli.docker.confirm import confirmed
from rootlay.cli.docker.options import FORCE, LIST_FORMAT, PRUNE_FILTER
from rootlay.cli.docker.pruning import prune_kind
from rootlay.cli.docker.units import human_size
from rootlay.cli.spec import Context, Option, UsageError, Values, Verb
from rootlay.cli.subverbs import make_group


def _prune(values: Values, context: Context) -> int:
    everything, volumes = values.flag("all"), values.flag("volumes")
    filters = filters_of(values.many("filter"))
    if volumes and "until" in filters:
        raise UsageError(
            '--filter until: not possible with --volumes: ERROR: The "until" filter is not supported there'
        )
    what = [
        "all stopped containers",
        "all networks not used by at least one container",
        *(["all anonymous volumes not used by at least one container"] if volumes else []),
        "all images without at least one container associated to them" if everything else "all dangling images",
        "all build cache" if everything else "unused build cache",
    ]
    if not confirmed(context, values, "This will remove:\n" + "".join(f"  - {line}\n" for line in what)):
        return 0
    until = {name: texts for name, texts in filters.items() if name == "until"}
    freed = prune_kind(context, "containers", filters) + prune_kind(context, "networks", filters)
    if volumes:
        freed += prune_kind(context, "volumes", filters)
    freed += prune_kind(context, "images", filters | {"dangling": ["false" if everything else "true"]})
    freed += prune_kind(context, "build", until, all=everything)
    context.out.line(f"Total reclaimed space: {human_size(freed)}")
    return 0


def _disk_usage(values: Values, context: Context) -> int:
    from rootlay.cli.docker.usage import print_usage

    return print_usage(context, values.text("format"), verbose=values.flag("verbose"))


def _dial(values: Values, context: Context) -> int:
    raise UsageError("system dial-stdio: there is no daemon to connect to; start `rootlay api` and use its socket")


VERBS = (
    Verb(
        "df",
        "Show disk usage.",
        _disk_usage,
        (LIST_FORMAT, Option(("-v", "--verbose"), "flag", "Show each object.")),
    ),
    Verb(
        "prune",
        "Remove stopped containers, unused networks, images without a name and unused build cache.",
        _prune,
        (
            Option(("-a", "--all"), "flag", "Remove all unused images, not just those without a name."),
            Option(("--volumes",), "flag", "Remove anonymous volumes, too."),
            PRUNE_FILTER,
            FORCE,
        ),
    ),
    Verb("dial-stdio", "Refused: there is no daemon to connect to.", _dial),
)

VERB = make_group("system", "The store", VERBS, {"info": "info", "events": "events"})

"""`rootlay image`: what the verbs without a group do not have."""

from __future__ import annotations

from rootlay.cli.docker.options import FORCE, FORMAT, PRUNE_FILTER
from rootlay.cli.docker.pruning import prune_verb
from rootlay.cli.registryoptions import PLATFORM_OPTION
from rootlay.cli.spec import Argument, Context, Option, Values, Verb
from rootlay.cli.subverbs import make_group
from rootlay.cli.verbs.inspect import inspect_all


def _prune(values: Values, context: Context) -> int:
    everything = values.flag("all")
    what = "images without at least one container associated to them" if everything else "dangling images"
    more = {"dangling": ["false" if everything else "true"]}
    return prune_verb(context, values, "images", f"This will remove all {what}.", **more)


def _inspect(values: Values, context: Context) -> int:
    return inspect_all(values, context, ("image",))


VERBS = (
    Verb(
        "prune",
        "Remove images without a name; with --all also images without a container.",
        _prune,
        (
            Option(("-a", "--all"), "flag", "Remove all unused images, not just those without a name."),
            PRUNE_FILTER,
            FORCE,
        ),
    ),
    Verb(
        "inspect",
        "Show details of images as JSON, in Docker's form.",
        _inspect,
        (FORMAT, PLATFORM_OPTION),
        (Argument("name", "Images.", many=True),),
    ),
)

_OTHERS = {"ls": "images", "list": "images", "rm": "rmi", "remove": "rmi"} | {
    name: name for name in "build history import load pull push save tag".split()
}
VERB = make_group("image", "Images", VERBS, _OTHERS)

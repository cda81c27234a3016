"""`rootlay container`: what the verbs without a group do not have."""

from __future__ import annotations

from rootlay.cli.docker.options import FORCE, FORMAT, PRUNE_FILTER
from rootlay.cli.docker.pruning import prune_verb
from rootlay.cli.spec import Argument, Context, Option, Values, Verb
from rootlay.cli.subverbs import make_group
from rootlay.cli.verbs.inspect import inspect_all


def _prune(values: Values, context: Context) -> int:
    return prune_verb(context, values, "containers", "This will remove all stopped containers.")


def _inspect(values: Values, context: Context) -> int:
    return inspect_all(values, context, ("container",), sized=values.flag("size"))


VERBS = (
    Verb("prune", "Remove all stopped containers.", _prune, (PRUNE_FILTER, FORCE)),
    Verb(
        "inspect",
        "Show details of containers as JSON, in Docker's form.",
        _inspect,
        (FORMAT, Option(("-s", "--size"), "flag", "Show the size of the changes.")),
        (Argument("name", "Containers.", many=True),),
    ),
)

_OTHERS = {"ls": "ps", "list": "ps", "ps": "ps"} | {
    name: name
    for name in (
        "attach commit cp create diff exec export kill logs pause port rename restart rm run start stats stop top "
        "unpause update wait"
    ).split()
}
VERB = make_group("container", "Containers", VERBS, _OTHERS)

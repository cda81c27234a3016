"""`rootlay docker-link`: a `docker` command that is rootlay, or one by the name of a program with the same options."""

from __future__ import annotations

from rootlay.cli.linkcommand import link_commands
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb

_DOCKER = 'ROOTLAY_AS_DOCKER=1 exec {program} "$@"'
_UDOCKER = f"""while [ "$1" = --quiet ] || [ "$1" = -q ]; do shift; done
if [ "$1" = run ] && [ "$2" = --nobanner ]; then shift 2; set -- run "$@"; fi
{_DOCKER}"""
COMMANDS = {"docker": _DOCKER, "podman": _DOCKER, "udocker": _UDOCKER}
"""The scripts. udocker has options that docker lacks: those that silence it."""


def action(values: Values, context: Context) -> int:
    names = values.many("name") or ("docker",)
    for name in names:
        if name not in COMMANDS:
            raise UsageError(f"--name {name[:40]}: expected {', '.join(COMMANDS)}")
    return link_commands(values, context, {name: COMMANDS[name] for name in names}, verb="docker-link")


VERB = Verb(
    name="docker-link",
    help="Make a `docker` command in a directory: a script that runs rootlay with this store.",
    action=action,
    options=(
        Option(("-f", "--force"), "flag", "Replace another program of that name."),
        Option(("--name",), "many", "Name of the command: docker (default), podman or udocker; repeatable.", "NAME"),
    ),
    arguments=(Argument("directory", "Directory for the command; usually one in PATH."),),
    examples=(
        "mkdir -p ~/.local/bin && rootlay docker-link ~/.local/bin",
        "rootlay docker-link --name podman --name udocker ~/.local/bin",
    ),
)

"""`rootlay docker-link`: a `docker` command that is rootlay."""

from __future__ import annotations

from rootlay.cli.linkcommand import link_commands
from rootlay.cli.spec import Argument, Context, Option, Values, Verb


def action(values: Values, context: Context) -> int:
    commands = {"docker": 'ROOTLAY_AS_DOCKER=1 exec {program} "$@"'}
    return link_commands(values, context, commands, verb="docker-link")


VERB = Verb(
    name="docker-link",
    help="Make a `docker` command in a directory: a script that runs rootlay with this store.",
    action=action,
    options=(Option(("-f", "--force"), "flag", "Replace another program of that name."),),
    arguments=(Argument("directory", "Directory for the command; usually one in PATH."),),
    examples=("mkdir -p ~/.local/bin && rootlay docker-link ~/.local/bin",),
)

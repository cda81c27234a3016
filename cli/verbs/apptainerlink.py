"""`rootlay apptainer-link`: `apptainer` and `singularity` commands that are rootlay."""

from __future__ import annotations

from rootlay.cli.linkcommand import link_commands
from rootlay.cli.spec import Argument, Context, Option, Values, Verb

NAMES = ("apptainer", "singularity")


def action(values: Values, context: Context) -> int:
    commands = {name: f'exec {{program}} __apptainer {name} "$@"' for name in NAMES}
    return link_commands(values, context, commands, verb="apptainer-link")


VERB = Verb(
    name="apptainer-link",
    help=(
        "Make `apptainer` and `singularity` commands in a directory: scripts that run images with this store, "
        "for workflow managers and scripts that call them (docs/howto/workflows.md)."
    ),
    action=action,
    options=(Option(("-f", "--force"), "flag", "Replace other programs of these names."),),
    arguments=(Argument("directory", "Directory for the commands; usually one in PATH."),),
    examples=("mkdir -p ~/.local/bin && rootlay apptainer-link ~/.local/bin",),
)

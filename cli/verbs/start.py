"""`rootlay start`: start a container's own program, again or for the first time."""

from __future__ import annotations

from rootlay.cli.running import attach, run_program
from rootlay.cli.runoptions import CONFINE, confine_mode
from rootlay.cli.spec import Argument, Context, Option, Values, Verb
from rootlay.store.value import replace


def action(values: Values, context: Context) -> int:
    from rootlay.store.container import Containers
    from rootlay.store.containerrecord import ContainerRecord

    code = 0
    confine = confine_mode(values)
    for reference in values.many("container"):
        record = Containers(context.root).find(reference)
        if values.flag("attach") or values.flag("interactive"):
            config = replace(record.config, stdin=values.flag("interactive") or record.config.stdin)
            code = attach(context, ContainerRecord(config, record.path), trace=None, patch=True, confine=confine)
        else:
            run_program(context, record, trace=None, patch=True, confine=confine)
    return code


VERB = Verb(
    name="start",
    help="Start a container's program. Its files are as it left them.",
    action=action,
    options=(
        Option(("-a", "--attach"), "flag", "Stay in the foreground, and exit with the program's code."),
        Option(("-i", "--interactive"), "flag", "Pass standard input on."),
        CONFINE,
    ),
    arguments=(Argument("container", "Name or ID.", many=True),),
)

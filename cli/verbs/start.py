"""`rootlay start`: start a container's main program, again or for the first time."""

from __future__ import annotations

from rootlay.cli.container.programoptions import CONFINE, confine_mode
from rootlay.cli.runcommand import attach, can_detach, run_program
from rootlay.cli.several import each
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb
from rootlay.cli.verbs.attach import KEYS
from rootlay.store.containers.record import ContainerRecord
from rootlay.store.model.value import replace


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers

    names = values.many("container")
    confine = confine_mode(values)
    containers = Containers(context.root)
    if values.flag("attach") or values.flag("interactive"):
        if len(names) != 1:
            raise UsageError("-a and -i: name one container only")
        record = containers.find(names[0])
        config = record.config
        on_terminal = values.flag("interactive") and can_detach(config)
        if on_terminal or values.text("detach_keys") or _runs(record):
            return _attached(values, record)
        config = replace(config, stdin=values.flag("interactive") or config.stdin)
        return attach(ContainerRecord(config, record.path), trace=None, patch=True, confine=confine)

    def start(name: str) -> None:
        record = containers.find(name)
        if not _runs(record):
            run_program(record, trace=None, patch=True, confine=confine)
        context.out.line(name)

    return each(names, start, context, "start")


def _runs(record: ContainerRecord) -> bool:
    """Return whether the program runs already: then start does nothing. Raises AlreadyPaused."""
    from rootlay.vfs.lifecycle.start import require_not_paused
    from rootlay.vfs.run.status import is_running

    require_not_paused(record)
    return is_running(record)


def _attached(values: Values, record: ContainerRecord) -> int:
    """Start the program with a monitor, if it does not run, and attach to it."""
    from rootlay.cli.container.attaching import Client, detach_keys

    keys = detach_keys(values.text("detach_keys"))
    client = Client(record, stdin=values.flag("interactive"), keys=keys, sig_proxy=not record.config.tty)
    try:
        if not _runs(record):
            run_program(record, trace=None, patch=True, confine=confine_mode(values))
    except BaseException:
        client.close()
        raise
    return client.run()


NO_CHECKPOINTS = "the memory of programs is not saved; for files use `rootlay snapshot` and `rootlay rollback`"
VERB = Verb(
    name="start",
    help="Start stopped containers, and print their names. Their files are as the last run left them.",
    action=action,
    options=(
        Option(("-a", "--attach"), "flag", "Attach to the program, and exit with its exit code."),
        Option(("-i", "--interactive"), "flag", "Keep standard input open."),
        CONFINE,
        KEYS,
        Option(("--checkpoint",), "text", "Restore from this checkpoint.", "NAME", refused=NO_CHECKPOINTS),
        Option(("--checkpoint-dir",), "text", "Directory of checkpoints.", "DIR", refused=NO_CHECKPOINTS),
    ),
    arguments=(Argument("container", "Name or ID.", many=True),),
)

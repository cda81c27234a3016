"""`rootlay run`: create a container and run a program in it."""

from __future__ import annotations

from rootlay.cli.container.createcommand import make_container
from rootlay.cli.container.programoptions import SIG_PROXY
from rootlay.cli.container.runoptions import ARGUMENTS, CREATE_OPTIONS, rare_options
from rootlay.cli.runcommand import attach, can_detach, run_program
from rootlay.cli.spec import Context, Option, Values, Verb
from rootlay.store.containers.record import ContainerRecord
from rootlay.vfs.run.processes import Moment


def action(values: Values, context: Context) -> int:
    made = Moment.now()
    record = make_container(values, context, to_run=True)
    trace, patch = values.text("trace"), not values.flag("no_patch")
    if not values.flag("detach"):
        if _needs_monitor(values, record):
            return _attached(values, record)
        return attach(record, trace=trace, patch=patch, made=made)
    try:
        run_program(record, trace=trace, patch=patch)
    finally:
        context.out.line(record.id)
    return 0


def _needs_monitor(values: Values, record: ContainerRecord) -> bool:
    """Return whether an option needs a process between the terminal and the program."""
    config = record.config
    if can_detach(config) or not values.flag("sig_proxy") or ("health" in config.extra and config.tty):
        return True
    return values.has("restart") and bool(
        values.text("detach_keys") or values.many("attach") or values.text("restart") not in (None, "", "no")
    )


def _attached(values: Values, record: ContainerRecord) -> int:
    """Start the program with a monitor, and attach to it."""
    from rootlay.cli.container.attaching import Client, detach_keys

    rare = values.has("attach")
    streams = tuple(text.lower() for text in values.many("attach")) if rare else ()
    client = Client(
        record,
        stdin=not streams or "stdin" in streams,
        streams=streams or ("stdout", "stderr"),
        keys=detach_keys(values.text("detach_keys") if rare else None),
        sig_proxy=values.flag("sig_proxy"),
    )
    try:
        run_program(record, trace=values.text("trace"), patch=not values.flag("no_patch"))
    except BaseException:
        client.close()
        raise
    return client.run()


VERB = Verb(
    name="run",
    help="Create a container from an image and run a program in it.",
    action=action,
    options=(
        Option(("-d", "--detach"), "flag", "Run in the background and print the container ID."),
        *CREATE_OPTIONS,
        SIG_PROXY,
        Option(("--trace",), "text", "Log each remapped system call to this file; - for standard error.", "FILE"),
        Option(("--no-patch",), "flag", "Do not patch system call sites (slower; for debugging)."),
    ),
    arguments=ARGUMENTS,
    passes_on=True,
    rare=rare_options,
    exits=(
        "The program's exit code; 128 + n if signal n ended it; 127 program not found; 126 "
        "program cannot be executed; 125 an error in rootlay itself."
    ),
    examples=(
        "rootlay run --rm debian cat /etc/os-release",
        "rootlay run -it --rm debian bash",
        "rootlay run --rm host -- sh -c 'rm -r /etc; ls /'",
        'rootlay run --rm -v "$PWD:/work" -w /work debian make',
    ),
)

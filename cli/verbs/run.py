"""`rootlay run`: create a container and run a program in it."""

from __future__ import annotations

from rootlay.cli.container.createcommand import make_container
from rootlay.cli.container.runoptions import ARGUMENTS, CREATE_OPTIONS, rare_options
from rootlay.cli.runcommand import attach, run_program
from rootlay.cli.spec import Context, Option, Values, Verb


def action(values: Values, context: Context) -> int:
    record = make_container(values, context, to_run=True)
    trace, patch = values.text("trace"), not values.flag("no_patch")
    if not values.flag("detach"):
        return attach(record, trace=trace, patch=patch)
    try:
        run_program(record, trace=trace, patch=patch)
    finally:
        context.out.line(record.id)
    return 0


VERB = Verb(
    name="run",
    help="Create a container from an image and run a program in it.",
    action=action,
    options=(
        Option(("-d", "--detach"), "flag", "Run in the background and print the container ID."),
        *CREATE_OPTIONS,
        Option(("--sig-proxy",), "flag", "Not built yet.", default=True, refused="it is not built yet; leave it out"),
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

"""`rootlay run`: create a container and run a program in it."""

from __future__ import annotations

from rootlay.cli.bundleroot import for_image
from rootlay.cli.running import attach, run_program
from rootlay.cli.runoptions import ARGUMENTS, CREATE_OPTIONS, to_options
from rootlay.cli.spec import Context, Option, Values, Verb
from rootlay.cli.upperroot import for_upper


def action(values: Values, context: Context) -> int:
    from rootlay.vfs.create import create_container

    context = for_image(context, values.text("image") or "")
    remove = values.flag("rm")
    context, options = for_upper(context, to_options(values, context, auto_remove=remove, to_run=True))
    record = create_container(context.root, options, context.environ)
    if values.flag("detach"):
        return run_program(context, record, trace=values.text("trace"), patch=not values.flag("no_patch"))
    return attach(
        context, record, trace=values.text("trace"), patch=not values.flag("no_patch"), cidfile=values.text("cidfile")
    )


VERB = Verb(
    name="run",
    help="Create a container from an image and run a program in it.",
    action=action,
    options=(
        Option(("--rm",), "flag", "Remove the container when the program ends."),
        Option(("-d", "--detach"), "flag", "Run in the background and print the container's ID."),
        *CREATE_OPTIONS,
        Option(("--cidfile",), "text", "Write the container's ID to this file.", "FILE"),
        Option(("--trace",), "text", "Write each remapped call to this file; - for standard error.", "FILE"),
        Option(("--no-patch",), "flag", "Do not patch system-call sites (slower; for debugging)."),
    ),
    arguments=ARGUMENTS,
    passes_on=True,
    exits="The program's own; 128 + n when signal n ended it; 127 program not found; 126 program cannot be executed; "
    "125 trouble of rootlay's own.",
    examples=(
        "rootlay run --rm debian cat /etc/os-release",
        "rootlay run -it --rm debian bash",
        "rootlay run --rm host -- sh -c 'rm -r /etc; ls /'",
        'rootlay run --rm -v "$PWD:/work" -w /work debian make',
    ),
)

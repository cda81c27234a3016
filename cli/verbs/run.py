"""`rootlay run`: create a container and run a program in it."""

from __future__ import annotations

import os

from rootlay.cli.bundlestore import for_image
from rootlay.cli.runcommand import attach, run_program
from rootlay.cli.runoptions import ARGUMENTS, CREATE_OPTIONS, to_options
from rootlay.cli.spec import Context, Option, UsageError, Values, Verb
from rootlay.cli.upperroot import for_upper
from rootlay.store.containers.record import ContainerRecord


def action(values: Values, context: Context) -> int:
    from rootlay.vfs.containers.create import create_container

    context = for_image(context, values.text("image") or "")
    remove = values.flag("rm")
    context, options = for_upper(context, to_options(values, context, auto_remove=remove, to_run=True))
    cidfile = values.text("cidfile")
    if cidfile and os.path.lexists(cidfile):
        raise UsageError(f"--cidfile {cidfile}: the file exists: remove it, or name another")
    record = create_container(context.root, options, context.environ)
    if cidfile:
        _keep_id(context, record, cidfile)
    trace, patch = values.text("trace"), not values.flag("no_patch")
    if not values.flag("detach"):
        return attach(record, trace=trace, patch=patch)
    try:
        run_program(record, trace=trace, patch=patch)
    finally:
        context.out.line(record.id)
    return 0


def _keep_id(context: Context, record: ContainerRecord, cidfile: str) -> None:
    from rootlay.vfs.run.removal import remove_container

    try:
        with open(cidfile, "x", encoding="ascii") as file:
            file.write(record.id)
    except OSError:
        remove_container(record, force=True)
        raise


VERB = Verb(
    name="run",
    help="Create a container from an image and run a program in it.",
    action=action,
    options=(
        Option(("--rm",), "flag", "Remove the container when its program exits."),
        Option(("-d", "--detach"), "flag", "Run in the background and print the container ID."),
        *CREATE_OPTIONS,
        Option(("--cidfile",), "text", "Write the container ID to a file.", "FILE"),
        Option(("--trace",), "text", "Log each remapped system call to this file; - for standard error.", "FILE"),
        Option(("--no-patch",), "flag", "Do not patch system call sites (slower; for debugging)."),
    ),
    arguments=ARGUMENTS,
    passes_on=True,
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

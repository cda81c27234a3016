"""`rootlay bundle`: write an image as one file that runs in place."""

from __future__ import annotations

from pathlib import Path

from rootlay.cli.progress import show_progress
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.bundle.writer import write_bundle
    from rootlay.store.store import ImageStore

    output = values.text("output")
    if not output:
        raise UsageError("-o FILE is missing: the bundle's path")
    if Path(output).exists() and not Path(output).is_file():
        raise UsageError(f"-o {output}: not a file")
    store = ImageStore.open(context.root)
    with show_progress(context, "bundling") as progress:
        bundle_id = write_bundle(store, store.image(values.required("image")), Path(output), progress)
    context.out.line(bundle_id)
    return 0


VERB = Verb(
    name="bundle",
    help=("Write an image as one read-only file that runs in place, without a store, on any number of machines."),
    action=action,
    options=(Option(("-o", "--output"), "text", "File to write; the usual suffix is .rlay.", "FILE"),),
    arguments=(Argument("image", "Image name or ID."),),
    examples=(
        "rootlay bundle debian -o debian.rlay",
        "rootlay run ./debian.rlay -- cat /etc/os-release",
        "./debian.rlay cat /etc/os-release",
        "rootlay load -i debian.rlay",
    ),
)

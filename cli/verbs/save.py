"""`rootlay save`: write images to an archive that other tools can load."""

from __future__ import annotations

from pathlib import Path

from rootlay.cli.progress import show_progress
from rootlay.cli.registryoptions import WHICH_PLATFORM_OPTION, platform_of
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb


def action(values: Values, context: Context) -> int:

    from rootlay.store.store import ImageStore

    target = values.text("output")
    if target is None and context.out.isatty():
        raise UsageError("will not write an archive to a terminal: use -o FILE")
    store = ImageStore.open(context.root)
    out = context.out.binary if target is None or target == "-" else Path(target)
    compression = values.text("compression")
    with show_progress(context, "saving") as progress:
        store.save(
            values.many("image"),
            out,
            values.required("format"),
            compression=compression,
            platform=platform_of(values),
            progress=progress,
        )
    return 0


VERB = Verb(
    name="save",
    help="Save images to an archive: docker-archive (docker load), oci-archive or oci-dir.",
    action=action,
    options=(
        Option(("-o", "--output"), "text", "File or directory to write (default: standard output).", "FILE|DIR"),
        Option(
            ("--format",), "text", "Format: docker-archive, oci-archive or oci-dir.", "FORMAT", default="docker-archive"
        ),
        Option(
            ("--compression",),
            "text",
            (
                "Recompress the layers: gzip, zstd or none (default: unchanged). The image ID does not "
                "change. OCI formats only."
            ),
            "KIND",
        ),
        WHICH_PLATFORM_OPTION,
    ),
    arguments=(Argument("image", "Images.", many=True),),
)

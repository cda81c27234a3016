"""`rootlay import`: make an image from a root file system."""

from __future__ import annotations

import sys
from pathlib import Path

from rootlay.cli.limitoptions import LIMIT_OPTIONS, limits_of
from rootlay.cli.progress import show_progress
from rootlay.cli.spec import Argument, Context, Option, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.model.imageconfig import RunConfig
    from rootlay.store.store import ImageStore
    from rootlay.vfs.build.result.changes import apply_changes
    from rootlay.vfs.containers.ensureview import ensure_view

    source = values.required("source")
    store = ImageStore.open(context.root, limits=limits_of(values))
    with show_progress(context, "importing") as progress:
        image = store.import_rootfs(
            sys.stdin.buffer if source == "-" else Path(source),
            values.text("reference") or None,
            message=values.text("message") or "",
            config=apply_changes(RunConfig(), values.many("change")),
            progress=progress,
        )
    ensure_view(store, image)
    context.out.line(image.id)
    return 0


VERB = Verb(
    name="import",
    help=("Create an image from a root file system: a directory, or a tar archive (plain, gzip, zstd or xz)."),
    action=action,
    options=(
        Option(("-m", "--message"), "text", "Commit message.", "TEXT"),
        Option(
            ("-c", "--change"), "many", "Apply a Dockerfile instruction to the config, e.g. `CMD bash`.", "INSTRUCTION"
        ),
        Option(
            ("--platform",),
            "text",
            "Platform of the image.",
            "OS/ARCH",
            refused="the programs of an imported tree must run here, so the image is for this machine; leave it out",
        ),
        *LIMIT_OPTIONS,
    ),
    arguments=(
        Argument("source", "Tar archive or directory; - for standard input."),
        Argument("reference", "Image name: NAME[:TAG].", required=False),
    ),
    examples=("rootlay import debian.tar debian", "mmdebstrap trixie - | rootlay import - debian:trixie"),
)

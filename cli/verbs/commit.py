"""`rootlay commit`: make an image from a container's changes."""

from __future__ import annotations

import contextlib
from functools import partial

from rootlay.cli.progress import show_progress
from rootlay.cli.spec import Argument, Context, Option, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.build.result.changes import apply_changes
    from rootlay.vfs.changes.commit import commit_container
    from rootlay.vfs.lifecycle.pause import paused
    from rootlay.vfs.overlay.containerstack import open_overlay

    record = Containers(context.root).find(values.required("container"))
    pause = paused(record) if values.flag("pause") else contextlib.nullcontext()
    with show_progress(context, "committing") as progress, open_overlay(record) as overlay, pause:
        image = commit_container(
            record,
            overlay,
            values.text("reference") or "",
            message=values.text("message") or "",
            author=values.text("author") or "",
            change=partial(apply_changes, changes=values.many("change")),
            progress=progress,
        )
    context.out.line(image.id)
    return 0


VERB = Verb(
    name="commit",
    help="Create an image from a container's changes. Takes time proportional to the changes.",
    action=action,
    options=(
        Option(("-m", "--message"), "text", "Commit message.", "TEXT"),
        Option(("-a", "--author"), "text", "Author of the image.", "NAME"),
        Option(
            ("-c", "--change"),
            "many",
            "Apply a Dockerfile instruction to the config, e.g. `CMD bash` or `ENV A=1`; repeatable.",
            "INSTRUCTION",
        ),
        Option(("-p", "--pause"), "flag", "Pause the container meanwhile (default: true).", default=True),
    ),
    arguments=(
        Argument("container", "Name or ID."),
        Argument("reference", "Image name: NAME[:TAG].", required=False),
    ),
)

"""`rootlay load`: load images from an archive."""

from __future__ import annotations

import sys
from pathlib import Path

from rootlay.cli.limitoptions import LIMIT_OPTIONS, limits_of
from rootlay.cli.progress import print_notes, show_progress
from rootlay.cli.registryoptions import ALL_PLATFORMS_OPTION, PLATFORM_OPTION, one_or_all
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.store import ImageStore
    from rootlay.vfs.containers.ensureview import ensure_view

    source = values.text("input") or values.text("file")
    if source is None and sys.stdin.isatty():
        raise UsageError("nothing to load: give a file or directory, or pipe an archive in")
    platform, every = one_or_all(values)
    store = ImageStore.open(context.root, limits=limits_of(values))
    notes: list[str] = []
    with show_progress(context, "loading", hidden=values.flag("quiet")) as progress:
        images = store.load(
            sys.stdin.buffer if source in (None, "-") else Path(source or "-"),
            progress=progress,
            link=values.flag("link"),
            only=values.many("image"),
            note=notes.append,
            platform=platform,
            all_platforms=every,
        )
    print_notes(context, notes)
    for image in images:
        ensure_view(store, image)
        context.out.line(f"Loaded image: {', '.join(image.references) or image.id}")
    return 0


VERB = Verb(
    name="load",
    help=(
        "Load images from a docker-archive (docker save), an OCI layout (directory or tar) or a "
        "bundle. All images are loaded, or none. A multi-platform image is loaded completely if "
        "the archive is complete."
    ),
    action=action,
    options=(
        Option(("-i", "--input"), "text", "Archive or directory (default: standard input).", "FILE|DIR"),
        Option(("--image",), "many", "Load only this image of an OCI layout; repeatable.", "NAME"),
        Option(
            ("--link",),
            "flag",
            (
                "Link to the layers of an OCI layout or another store instead of copying them. Uses this "
                "machine's platform only, unless --platform or --all-platforms is given."
            ),
        ),
        Option(("-q", "--quiet"), "flag", "Do not show progress."),
        PLATFORM_OPTION,
        ALL_PLATFORMS_OPTION,
        *LIMIT_OPTIONS,
    ),
    arguments=(Argument("file", "Archive or directory, instead of -i.", required=False),),
    examples=(
        "docker save app | rootlay load",
        "skopeo copy docker://debian oci:debian && rootlay load -i debian",
        "rootlay load --link -i /project/images --image debian",
    ),
)

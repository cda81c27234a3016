"""An image by its name, brought into the store."""

from __future__ import annotations

import os
from pathlib import Path

from rootlay.cli.apptainer.report import Report
from rootlay.cli.apptainer.sources import BadImageFile, Source, platform_of, pull_image
from rootlay.cli.progress import print_notes, show_progress
from rootlay.cli.spec import Context, UsageError, Values
from rootlay.store.model.errors import UnknownImage
from rootlay.store.model.image import Image


def bring(source: Source, values: Values, context: Context, report: Report) -> Image:
    """Return the image of a source that is neither a file nor a directory, in the store. Fetch it if it is missing.

    Raises as `pull` and `load`; UsageError for several images without a name.
    """
    from rootlay.store.store import ImageStore

    platform = platform_of(values)
    store = ImageStore.open(context.root)
    if source.kind == "docker-daemon":
        return store.image(source.place, platform)
    if source.kind == "oras":
        from rootlay.cli.apptainer.orasfile import bring_file

        return bring_file(source, values, context, report)
    if source.kind == "docker":
        return pull_image(source, values, context, report, platform)
    path, _, name = source.place.partition(":")
    if not os.path.exists(path):
        raise BadImageFile(source.text, "no such file or directory")
    notes: list[str] = []
    with show_progress(context, "loading", hidden=report.level <= 0) as progress:
        only = (name,) if name and source.kind != "docker-archive" else ()
        try:
            images = store.load(Path(path), progress=progress, platform=platform, only=only, note=notes.append)
        except UnknownImage as error:
            if not only:
                raise
            raise BadImageFile(source.text, f"there is no image {name!r} in {path}") from error
    print_notes(context, notes)
    if name and source.kind == "docker-archive":
        return store.image(name, platform)
    if len(images) != 1:
        names = ", ".join(name for image in images for name in image.references)
        raise UsageError(f"{source.text}: {len(images)} images: name one: {source.kind}:{path}:NAME ({names[:200]})")
    return images[0]

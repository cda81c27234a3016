"""Image files in a registry: `oras://HOST/NAME:TAG`, as `apptainer push` and `oras push` write them.

The name of an ordinary image works, too: it is pulled as docker:// is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rootlay.cli.apptainer.report import Report
from rootlay.cli.apptainer.sources import Source, check_file, check_head, platform_of, pull_image, settings_of
from rootlay.cli.progress import show_progress
from rootlay.cli.spec import Context, Values
from rootlay.store.model.image import Image

SIF_LAYER = "application/vnd.sylabs.sif.layer.v1.sif"
_FILE_MODE = 0o755


def write(source: Source, target: Path, values: Values, context: Context, report: Report) -> bool:
    """Write the file to `target`, unchanged. Return False if the name is that of an ordinary image."""
    from rootlay.store.disk.durable import replacing

    def place(fetch: Callable[[Path], None]) -> None:
        report.info(f"Creating image file {target}")
        with replacing(target) as staged:
            fetch(staged)
            staged.chmod(_FILE_MODE)

    return _with_file(source, values, context, report, place)


def bring_file(source: Source, values: Values, context: Context, report: Report) -> Image:
    """Return the image of the file, in the store under the file's name. Fetch it if it is missing."""
    from rootlay.store.model.errors import UnknownImage
    from rootlay.store.store import ImageStore

    store, platform = ImageStore.open(context.root), platform_of(values)
    if not values.flag("disable_cache"):
        try:
            return store.image(source.place, platform)
        except UnknownImage:
            pass

    def load(fetch: Callable[[Path], None]) -> None:
        with store.staging() as staging:
            fetch(staging / "image.sif")
            (image,) = store.load(staging / "image.sif", platform=platform)
        store.tag(image, source.place)

    if _with_file(source, values, context, report, load):
        return store.image(source.place, platform)
    return pull_image(source, values, context, report, platform)


def _with_file(
    source: Source, values: Values, context: Context, report: Report, use: Callable[[Callable[[Path], None]], None]
) -> bool:
    """Call `use` with a function that writes the file to a new path. Return False if the name is that of an image.

    That function raises BadImageFile if it is not a bundle, and as `rootlay.store.registry.artifact`.
    """
    from rootlay.store.model.platform import host_platform
    from rootlay.store.model.reference import Reference
    from rootlay.store.registry.artifact import fetch_file, find_file
    from rootlay.store.registry.repository import Repository
    from rootlay.store.registry.session import Session

    name = Reference.parse(source.place)
    with Session(settings_of(values, context), name.domain) as session:
        repository = Repository(session, name)
        file = find_file(repository, name, platform_of(values) or host_platform(), SIF_LAYER, ".sif")
        if file is None:
            return False
        with show_progress(context, "pulling", hidden=report.level <= 0) as progress:

            def fetch(target: Path) -> None:
                fetch_file(
                    repository, file, target, name.familiar, lambda head: check_head(source.text, head), progress
                )
                check_file(str(target))

            use(fetch)
    return True

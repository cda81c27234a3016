"""Images by Apptainer's names: a file, a directory, or KIND:PLACE.

A `.sif` is a bundle (docs/format.md §10), whatever its suffix. SIF files of Apptainer contain squashfs, which only the
kernel or FUSE can mount: they are recognized and refused.
"""

from __future__ import annotations

import os
import re

from rootlay.cli.apptainer.report import Report
from rootlay.cli.progress import show_progress
from rootlay.cli.registryoptions import default_settings
from rootlay.cli.spec import Context, UsageError, Values
from rootlay.store.model.errors import RootlayError
from rootlay.store.model.image import Image
from rootlay.store.model.manifest import Platform
from rootlay.store.model.value import replace, value
from rootlay.store.registry.settings import Settings

KINDS = ("docker", "oras", "docker-daemon", "docker-archive", "oci", "oci-archive")
_REFUSED = {
    "library": "the library of Sylabs has SIF files with squashfs; name the image of a registry, docker://NAME",
    "shub": "Singularity Hub is closed; name the image of a registry, docker://NAME",
    "instance": "there are no instances; `rootlay run -d` and `rootlay exec` keep a container running",
    "http": "a file of a web server: fetch it with curl, and name the file",
    "https": "a file of a web server: fetch it with curl, and name the file",
    "oci-sif": "an OCI-SIF contains squashfs; name the image of a registry, docker://NAME",
}
_NOT_OURS = "not an image file; make one with `apptainer pull` or `rootlay bundle`"
_URI = re.compile(r"([a-z][a-z0-9-]*):(?://)?(.+)", re.DOTALL)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armhf": "arm", "i386": "386"}


class BadImageFile(RootlayError):
    """A file or directory that is not an image which this command can run."""

    fault = "image"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"could not open image {path}: {reason}")
        self.path = path
        self.reason = reason


@value
class Source:
    """An image by its name. `kind`: `file`, `directory`, or one of KINDS; `place`: a path or a reference."""

    text: str
    kind: str
    place: str


def parse_source(text: str) -> Source:
    """Parse a name. A path comes first: a file may have a colon in its name.

    Raises:
        UsageError: a kind that is refused.
        BadImageFile: no such file, or not an image of ours.
    """
    if not os.path.exists(text):
        found = _URI.fullmatch(text)
        if found and found[1] in _REFUSED:
            raise UsageError(f"{text}: {_REFUSED[found[1]]}")
        if found and found[1] in KINDS:
            return Source(text, found[1], found[2])
        known = ", ".join(f"{kind}:" for kind in KINDS)
        raise BadImageFile(text, f"no such file or directory, and not one of {known}")
    if os.path.isdir(text):
        return Source(text, "directory", os.path.abspath(text))
    check_file(text)
    return Source(text, "file", os.path.abspath(text))


def check_file(path: str) -> None:
    """Raise BadImageFile unless a file is a bundle."""
    from rootlay.store.bundle.format import is_bundle

    if is_bundle(path):
        return
    with open(path, "rb") as file:
        check_head(path, file.read(4096))
    raise BadImageFile(path, _NOT_OURS)


def check_head(path: str, head: bytes) -> None:
    """Raise BadImageFile unless a file that begins so may be a bundle."""
    from rootlay.store.bundle.format import MAGIC, SHEBANG_BYTES

    if head[SHEBANG_BYTES : SHEBANG_BYTES + len(MAGIC)] == MAGIC:
        return
    if head[32:41] == b"SIF_MAGIC" or b"hsqs" in head[:64]:
        reason = "a SIF file with squashfs, which cannot be mounted without FUSE; pull it again from its registry"
    else:
        reason = _NOT_OURS
    raise BadImageFile(path, reason)


def pull_image(source: Source, values: Values, context: Context, report: Report, platform: Platform | None) -> Image:
    """Return an image, pulled unless the store has it; with --disable-cache pull it again if it has changed."""
    from rootlay.store.registry.once import pull_missing
    from rootlay.store.registry.pull import pull
    from rootlay.store.store import ImageStore

    store = ImageStore.open(context.root)
    settings = settings_of(values, context)
    with show_progress(context, "pulling", hidden=report.level <= 0) as progress:
        if values.flag("disable_cache"):
            return pull(store, source.place, settings, platform=platform, progress=progress).image
        return pull_missing(store, source.place, settings, platform=platform, progress=progress)[0]


def settings_of(values: Values, context: Context) -> Settings:
    """Return how to talk to registries: --authfile, --no-https."""
    if values.text("authfile"):
        directory = os.path.dirname(os.path.abspath(values.required("authfile")))
        context = replace(context, environ={**context.environ, "DOCKER_CONFIG": directory})
    return replace(default_settings(context), plain_http=values.flag("nohttps"))


def platform_of(values: Values) -> Platform | None:
    """Return --platform or --arch; None without them. Raises UsageError."""
    from rootlay.store.model.platform import parse_platform

    if "arch" not in values.given:
        return None
    if text := values.text("platform"):
        return parse_platform(text)
    arch = values.text("arch")
    return parse_platform(f"linux/{_ARCHITECTURES.get(arch, arch)}") if arch else None

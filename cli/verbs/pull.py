"""`rootlay pull`: fetch an image from a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rootlay.cli.docker.options import NO_CONTENT_TRUST
from rootlay.cli.limitoptions import LIMIT_OPTIONS, limits_of
from rootlay.cli.listing import size
from rootlay.cli.progress import print_notes, show_progress
from rootlay.cli.registryoptions import ALL_PLATFORMS_OPTION, PLATFORM_OPTION, REGISTRY_OPTIONS, one_or_all, settings_of
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb

if TYPE_CHECKING:
    from rootlay.store.registry.settings import Settings


def action(values: Values, context: Context) -> int:
    from rootlay.store.registry.pull import pull
    from rootlay.store.store import ImageStore
    from rootlay.vfs.containers.ensureview import ensure_view

    settings = settings_of(values, context)
    if values.flag("all_tags"):
        for name in list_tags(values.required("image"), settings):
            action(Values(values.given | {"all_tags": False, "image": name}), context)
        return 0
    platform, every = one_or_all(values)
    store = ImageStore.open(context.root, limits=limits_of(values))
    notes: list[str] = []
    with show_progress(context, "pulling") as progress:
        found = pull(
            store,
            values.required("image"),
            settings,
            platform=platform,
            progress=progress,
            lazy=values.flag("lazy"),
            note=notes.append,
            all_platforms=every,
        )
    print_notes(context, notes)
    if not found.lazy_layers:  # else the first container makes it, when the tables of contents are out of memory
        ensure_view(store, found.image)
    if values.flag("quiet"):
        context.out.line(found.image.id)
        return 0
    layers = len(found.image.diff_ids)
    context.out.line(f"Digest: {found.digest}")
    line = f"Fetched {found.fetched_layers} of {layers} layers, {size(found.fetched_bytes)}"
    if every:
        line = f"Fetched {found.fetched_layers} layers of all platforms, {size(found.fetched_bytes)}"
    elif found.lazy_layers:
        whole = size(sum(layer.size for layer in found.image.manifest.layers))
        line = f"Fetched {size(found.fetched_bytes)} of {whole}; {found.lazy_layers} of {layers} layers come as used"
    context.out.line(line)
    context.out.line(f"Pulled image: {', '.join(found.image.references) or found.image.id}")
    return 0


def list_tags(text: str, settings: Settings) -> list[str]:
    """Return the names of a repository with all tags that the registry has. Raises UsageError, and as a pull."""
    from rootlay.store.model.reference import Reference
    from rootlay.store.registry.repository import Repository
    from rootlay.store.registry.session import Session

    name = Reference.parse(text)
    if text != name.familiar_name and not text.endswith(f"/{name.path}"):
        raise UsageError(f"--all-tags: {text}: give the repository without a tag or digest")
    with Session(settings, name.domain) as session:
        return [f"{name.familiar_name}:{tag}" for tag in Repository(session, name).list_tags()]


VERB = Verb(
    name="pull",
    help=("Pull an image from a registry. Only missing layers are fetched; if interrupted, run it again to resume."),
    action=action,
    options=(
        Option(("-q", "--quiet"), "flag", "Print only the image ID."),
        Option(
            ("--lazy",),
            "flag",
            ("Fetch only the table of contents of eStargz and zstd:chunked layers; fetch files on first use."),
        ),
        Option(("-a", "--all-tags"), "flag", "Pull all tags of the repository."),
        NO_CONTENT_TRUST,
        PLATFORM_OPTION,
        ALL_PLATFORMS_OPTION,
        *REGISTRY_OPTIONS,
        *LIMIT_OPTIONS,
    ),
    arguments=(Argument("image", "[HOST/]NAME[:TAG][@DIGEST]; without a host, Docker Hub."),),
    examples=(
        "rootlay pull debian:trixie-slim",
        "rootlay pull --platform linux/arm64 ghcr.io/org/app:1.2",
        "rootlay pull --lazy ghcr.io/stargz-containers/python:3.9-esgz",
    ),
)

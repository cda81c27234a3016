"""`rootlay push`: send an image to a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rootlay.cli.docker.options import NO_CONTENT_TRUST
from rootlay.cli.listing import size
from rootlay.cli.progress import show_progress
from rootlay.cli.registryoptions import REGISTRY_OPTIONS, WHICH_PLATFORM_OPTION, platform_of, settings_of
from rootlay.cli.spec import Argument, Context, Option, UsageError, Values, Verb

if TYPE_CHECKING:
    from rootlay.store.store import ImageStore


def action(values: Values, context: Context) -> int:
    from rootlay.store.registry.push import push
    from rootlay.store.store import ImageStore

    settings = settings_of(values, context)
    store = ImageStore.open(context.root)
    if values.flag("all_tags"):
        for name in _names_of(values, store):
            action(Values(values.given | {"all_tags": False, "image": name}), context)
        return 0
    with show_progress(context, "pushing") as progress:
        done = push(
            store,
            values.required("image"),
            settings,
            target=values.text("target"),
            compression=values.text("compression"),
            manifest_format=values.text("format"),
            platform=platform_of(values),
            progress=progress,
        )
    if values.flag("quiet"):
        context.out.line(done.digest)
        return 0
    context.out.line(f"Sent {done.sent_blobs} blobs, {size(done.sent_bytes)}")
    context.out.line(f"Digest: {done.digest}")
    return 0


def _names_of(values: Values, store: ImageStore) -> list[str]:
    """Return the names in the store that a repository has. Raises UsageError."""
    text = values.required("image")
    if values.text("target"):
        raise UsageError("--all-tags: the tags are pushed under their own names; leave the target out")
    names = [record.reference for record in store.images(lambda _: None) if record.reference]
    found = [name for name in names if name.rpartition(":")[0] == text]
    if not found:
        raise UsageError(f"--all-tags: the store has no tag of {text} (`rootlay images` lists them)")
    return found


VERB = Verb(
    name="push",
    help="Push an image to a registry. Only missing blobs are sent.",
    action=action,
    options=(
        Option(("-q", "--quiet"), "flag", "Print only the manifest digest."),
        Option(
            ("--compression",),
            "text",
            ("Recompress the layers: gzip, zstd or none. The image ID does not change; the digest does."),
            "KIND",
        ),
        Option(
            ("--format",),
            "text",
            "Form of the manifest: oci or docker. Podman finds a HEALTHCHECK only in docker's. The digest changes.",
            "FORM",
        ),
        Option(("-a", "--all-tags"), "flag", "Push all tags of the repository."),
        NO_CONTENT_TRUST,
        WHICH_PLATFORM_OPTION,
        *REGISTRY_OPTIONS,
    ),
    arguments=(
        Argument("image", "Image; also the name in the registry if no target is given."),
        Argument("target", "[HOST/]NAME[:TAG] in the registry.", required=False),
    ),
    examples=("rootlay push registry.example/team/app:2", "rootlay push debian:2 localhost:5000/debian:2"),
)

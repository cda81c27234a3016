"""`rootlay push`: send an image to a registry."""

from __future__ import annotations

from rootlay.cli.listing import size
from rootlay.cli.progress import show_progress
from rootlay.cli.registryoptions import REGISTRY_OPTIONS, WHICH_PLATFORM_OPTION, platform_of, settings_of
from rootlay.cli.spec import Argument, Context, Option, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.registry.push import push
    from rootlay.store.store import ImageStore

    settings = settings_of(values, context)
    store = ImageStore.open(context.root)
    with show_progress(context) as progress:
        done = push(
            store,
            values.required("image"),
            settings,
            target=values.text("target"),
            compression=values.text("compression"),
            platform=platform_of(values),
            progress=progress,
        )
    if values.flag("quiet"):
        context.out.line(done.digest)
        return 0
    context.out.line(f"Sent {done.sent_blobs} blobs, {size(done.sent_bytes)}")
    context.out.line(f"Digest: {done.digest}")
    return 0


VERB = Verb(
    name="push",
    help="Send an image to a registry, bit for bit. Only what is missing there is sent.",
    action=action,
    options=(
        Option(("-q", "--quiet"), "flag", "Print the manifest's digest only."),
        Option(
            ("--compression",),
            "text",
            "Re-encode the layers: gzip, zstd or none. The image ID stays; the digest changes.",
            "KIND",
        ),
        WHICH_PLATFORM_OPTION,
        *REGISTRY_OPTIONS,
    ),
    arguments=(
        Argument("image", "The image: its name there, unless a target is given."),
        Argument("target", "[HOST/]NAME[:TAG] in the registry.", required=False),
    ),
    examples=("rootlay push registry.example/team/app:2", "rootlay push debian:2 localhost:5000/debian:2"),
)

"""`rootlay optimize`: speed up the reading of single files of an image."""

from __future__ import annotations

from rootlay.cli.progress import show_progress
from rootlay.cli.spec import Argument, Context, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.layer.optimize import optimize_image
    from rootlay.store.store import ImageStore

    store = ImageStore.open(context.root)
    image = store.image(values.required("image"))
    with show_progress(context, "optimizing") as progress:
        store.prepare(image, progress)
        done = optimize_image(store.layout, image, progress)
    for layer in done:
        text = f"packed, {layer.pack_bytes / 1e6:.1f} MB" if layer.pack_bytes else "quick already"
        context.out.line(f"{layer.diff_id.short}: {text}")
    return 0


VERB = Verb(
    name="optimize",
    help=("Make single files of gzip layers faster to read. Uses about as much disk space as the layers."),
    action=action,
    arguments=(Argument("image", "Image name or ID."),),
    examples=("rootlay optimize debian",),
)

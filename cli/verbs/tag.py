"""`rootlay tag`: give an image one more name."""

from __future__ import annotations

from rootlay.cli.spec import Argument, Context, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.store import ImageStore

    store = ImageStore.open(context.root)
    store.tag(store.image(values.required("image")), values.required("reference"))
    return 0


VERB = Verb(
    name="tag",
    help="Add a name to an image.",
    action=action,
    arguments=(Argument("image", "Image."), Argument("reference", "New name: NAME[:TAG].")),
)

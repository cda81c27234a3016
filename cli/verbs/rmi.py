"""`rootlay rmi`: remove images."""

from __future__ import annotations

from rootlay.cli.spec import Argument, Context, Option, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.container import Containers
    from rootlay.store.store import Store

    store = Store.open(context.root)
    containers = Containers(store.root)
    for reference in values.many("image"):
        for line in store.remove(reference, force=values.flag("force"), in_use=containers):
            print(line, file=context.out)
    return 0


VERB = Verb(
    name="rmi",
    help="Remove images: a name, and with the last name the image and the layers that nothing else needs.",
    action=action,
    options=(Option(("-f", "--force"), "flag", "Remove all names of an image; containers keep the layers they need."),),
    arguments=(Argument("image", "Images.", many=True),),
)

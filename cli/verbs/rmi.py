"""`rootlay rmi`: remove images."""

from __future__ import annotations

from rootlay.cli.several import each
from rootlay.cli.spec import Argument, Context, Option, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.store.layout.removal import removing
    from rootlay.store.model.errors import ImageInUse, UnknownImage
    from rootlay.store.store import ImageStore
    from rootlay.vfs.build.cache.gcroots import needed

    store = ImageStore.open(context.root)
    users = {record.config.manifest: record.name for record in Containers(store.root).iter_all()}
    force = values.flag("force")
    with removing(store.layout, lambda: needed(store)) as removal:

        def remove(reference: str) -> None:
            try:
                image = removal.catalog.get(reference)
            except UnknownImage as error:
                if not force:
                    raise
                context.err.line(f"rootlay: {error}")  # nothing to do is no failure, as with Docker
                return
            user = users.get(str(image.manifest_digest))
            if user is not None and len(image.references) < 2 and not force:
                raise ImageInUse(reference, f"container {user} uses it: remove that container, or use --force")
            removed = removal.remove(reference, force=force)
            context.out.lines(f"Untagged: {name}" for name in removed.untagged)
            context.out.lines(f"Deleted: {digest}" for digest in removed.deleted)

        return each(values.many("image"), remove, context, "rmi")


VERB = Verb(
    name="rmi",
    help="Remove image names. Removing the last name also removes the image and its unused layers.",
    action=action,
    options=(
        Option(
            ("-f", "--force"),
            "flag",
            "Remove all names of an image; containers keep their layers. A missing image is no error.",
        ),
        Option(("--no-prune",), "flag", "Keep untagged parents.", accepted="images have no parents; layers are shared"),
        Option(
            ("--platform",),
            "many",
            "Remove only this platform.",
            "OS/ARCH",
            refused="an image is removed as a whole; pull one platform with `pull --platform` instead",
        ),
    ),
    arguments=(Argument("image", "Images.", many=True),),
)

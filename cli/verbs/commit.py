"""`rootlay commit`: make an image of a container's changes."""

from __future__ import annotations

from rootlay.cli.spec import Argument, Context, Option, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.store.containers.containers import Containers
    from rootlay.vfs.api.container import Container

    container = Container(context.root, Containers(context.root).find(values.required("container")))
    image = container.commit(
        values.text("reference") or "",
        message=values.text("message") or "",
        author=values.text("author") or "",
        changes=values.many("change"),
    )
    context.out.line(image.id)
    return 0


VERB = Verb(
    name="commit",
    help="Make a new image: the container's image and one layer with its changes. The cost follows the change.",
    action=action,
    options=(
        Option(("-m", "--message"), "text", "Comment in the image's history.", "TEXT"),
        Option(("-a", "--author"), "text", "Author in the image's history.", "NAME"),
        Option(
            ("-c", "--change"),
            "many",
            "Change the config by a Dockerfile instruction, such as `CMD bash` or `ENV A=1`; repeatable.",
            "INSTRUCTION",
        ),
    ),
    arguments=(
        Argument("container", "Name or ID."),
        Argument("reference", "Name of the image: NAME[:TAG].", required=False),
    ),
)

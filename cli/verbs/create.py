"""`rootlay create`: make a container without starting it."""

from __future__ import annotations

from rootlay.cli.bundlestore import for_image
from rootlay.cli.runoptions import ARGUMENTS, CREATE_OPTIONS, to_options
from rootlay.cli.spec import Context, Option, Values, Verb
from rootlay.cli.upperroot import for_upper


def action(values: Values, context: Context) -> int:
    from rootlay.vfs.containers.create import create_container

    context = for_image(context, values.text("image") or "")
    context, options = for_upper(context, to_options(values, context, auto_remove=values.flag("rm")))
    context.out.line(create_container(context.root, options, context.environ).id)
    return 0


VERB = Verb(
    name="create",
    help="Create a container without starting it.",
    action=action,
    options=(Option(("--rm",), "flag", "Remove the container when its program exits."), *CREATE_OPTIONS),
    arguments=ARGUMENTS,
    passes_on=True,
)

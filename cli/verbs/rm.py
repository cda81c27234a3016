"""`rootlay rm`: remove containers."""

from __future__ import annotations

from rootlay.cli.several import each
from rootlay.cli.spec import Argument, Context, Option, Values, Verb


def action(values: Values, context: Context) -> int:
    from rootlay.cli.progress import show_progress
    from rootlay.store.containers.containers import Containers
    from rootlay.store.disk.walktree import disk_bytes
    from rootlay.store.model.errors import UnknownContainer
    from rootlay.store.model.progress import Meter
    from rootlay.vfs.run.removal import remove_container

    containers = Containers(context.root)

    def remove(name: str) -> None:
        try:
            record = containers.find(name)
        except UnknownContainer:
            if values.flag("force"):
                return
            raise
        places = [record.path]
        if values.flag("volumes"):
            from rootlay.store.volumes.volumes import volume_names

            places += [context.root / "volumes" / each for each in volume_names(record, anonymous=True)]
        with show_progress(context, "removing containers") as progress:
            meter = Meter(progress, "removing containers", lambda: sum(map(disk_bytes, places)))
            remove_container(record, force=values.flag("force"), volumes=values.flag("volumes"), freed=meter.add)
        context.out.line(name)

    return each(values.many("container"), remove, context, "rm")


VERB = Verb(
    name="rm",
    help="Remove containers and their changes. Images are not touched.",
    action=action,
    options=(
        Option(("-f", "--force"), "flag", "Kill running programs first; ignore missing containers."),
        Option(("-l", "--link"), "flag", "Remove a link.", refused="there are no links; see --link of `rootlay run`"),
        Option(("-v", "--volumes"), "flag", "Also remove the anonymous volumes of the container."),
    ),
    arguments=(Argument("container", "Name or ID.", many=True),),
)

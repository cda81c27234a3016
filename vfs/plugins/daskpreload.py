"""Whole workers of Dask in a container, from their command line:

    dask worker ADDRESS --preload rootlay.vfs.plugins.daskpreload --image debian

The worker process is inside before it runs its first task. If it cannot be, it ends: Dask itself would only log the
error of a preload, and go on outside.
"""

from __future__ import annotations

import click
from distributed import Worker

from rootlay.store.containers.record import Bind
from rootlay.store.model.errors import RootlayError
from rootlay.vfs.plugins.daskplugin import EACH, ContainerPlugin


async def _add(worker: Worker, image: str, each: str, store: str | None, bind: tuple[str, ...]) -> None:
    """Put this worker's tasks into containers of an image. Raises SystemExit: it cannot have them."""
    pairs = (text.partition(":") for text in bind)
    plugin = ContainerPlugin(
        image, each=each, store=store, binds=[Bind(host, target or host) for host, _, target in pairs]
    )
    try:
        plugin.setup(worker)
    except (RootlayError, OSError) as error:
        raise SystemExit(f"rootlay: {image}: {error}") from error
    worker.plugins[plugin.name] = plugin


dask_setup = click.Command(
    "dask_setup",
    callback=_add,
    params=[
        click.Option(["--image"], required=True, help="Name, or path of a bundle."),
        click.Option(["--each"], default="process", type=click.Choice(EACH), help="What has a container."),
        click.Option(["--store"], help="The store's directory."),
        click.Option(["--bind"], multiple=True, help="HOST[:TARGET]: a path of the machine that is visible inside."),
    ],
)
"""What Dask calls, with the options behind `--preload`."""

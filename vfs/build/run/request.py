"""A command that a build runs, and the containers that killed builds have left. Loaded by each build, also by one in
which nothing has changed: the container itself (`container`) is not."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from rootlay.store.containers.containers import Containers
from rootlay.store.containers.record import BUILD_IMAGE, Bind
from rootlay.store.disk.owner import is_gone
from rootlay.store.model.errors import ContainerRunning
from rootlay.store.model.value import value


@value
class RunRequest:
    """A command to run.

    Args:
        argv: program first.
        env: added to the image's environment; not kept in the image.
        network: "host" or "none".
        binds: those of --mount; not part of the layer.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    network: str = "host"
    binds: tuple[Bind, ...] = ()


def remove_abandoned(root: Path) -> None:
    """Remove the containers of builds whose process has ended."""
    for record in Containers(root).iter_all():
        if record.config.image == BUILD_IMAGE and is_gone(record.config.owner):
            from rootlay.vfs.run.removal import remove_container

            with contextlib.suppress(ContainerRunning, FileNotFoundError):  # unkillable, or another process removes it
                remove_container(record, force=True)

"""Removal of a container: first its processes, then its files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from rootlay.store.containers.record import ContainerRecord, ContainerState
from rootlay.store.containers.removal import trash_container
from rootlay.store.disk.removetree import remove_tree
from rootlay.store.model.errors import ContainerRunning, StillRunning
from rootlay.vfs.run.processes import Moment, has_guests


def remove_container(
    record: ContainerRecord,
    *,
    force: bool = False,
    volumes: bool = False,
    made: Moment | None = None,
    freed: Callable[[int], None] = lambda size: None,
) -> int:
    """Remove a container and return the number of bytes freed; with `volumes` also its anonymous volumes.

    Args:
        made: see has_guests.
        freed: receives the bytes of disk of each removed file.

    Raises:
        ContainerRunning: a program runs in it and `force` is not given.
        StillRunning: its programs cannot be killed.
        RunsElsewhere: its main program seems to run on another machine, and `force` is not given.
    """
    total = remove_tree(move_to_trash(record, force=force, made=made), freed=freed)
    if volumes and any(bind.anonymous for bind in record.config.binds):
        from rootlay.store.volumes.volumes import Volumes, volume_names

        unused = Volumes(record.root).remove_unused(volume_names(record, anonymous=True))
        total += sum(remove_tree(path, freed=freed) for path in unused)
    return total


def move_to_trash(record: ContainerRecord, *, force: bool = False, made: Moment | None = None) -> Path:
    """Move a container to the trash: `remove_container` up to there. Quick.

    Returns the trash's path, for `remove_tree`.
    """
    path = record.real_path
    state = record.state()
    machine = state.elsewhere
    if machine and not force:
        from rootlay.store.model.containererrors import RunsElsewhere

        raise RunsElsewhere(record.name, machine)
    if not force and state.restarting and _is_restarting(record, state):
        raise ContainerRunning(record.name)
    if "restart" in record.config.extra:
        record.stop_mark.touch()
    if has_guests(path, made):
        from rootlay.vfs.run.killing import kill_guests  # at the end of most runs there is nothing to kill

        if not force:
            raise ContainerRunning(record.name)
        if not kill_guests(path):
            raise StillRunning(record.name)
    if os.path.exists(f"{path}/docker.json"):
        from rootlay.store.networks.members import leave

        leave(record, removed=True)
    trash = trash_container(record)
    record.note("destroy")
    return trash


def _is_restarting(record: ContainerRecord, state: ContainerState) -> bool:
    from rootlay.vfs.run.status import is_restarting

    return is_restarting(record, state)

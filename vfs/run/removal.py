"""Removal of a container: first its processes, then its files."""

from __future__ import annotations

from pathlib import Path

from rootlay.store.containers.record import ContainerRecord
from rootlay.store.containers.removal import trash_container
from rootlay.store.disk.removetree import remove_tree
from rootlay.store.model.containererrors import RunsElsewhere
from rootlay.store.model.errors import ContainerRunning, StillRunning
from rootlay.vfs.run.processes import has_guests


def remove_container(record: ContainerRecord, *, force: bool = False) -> int:
    """Remove a container and return the number of bytes freed.

    Raises:
        ContainerRunning: a program runs in it and `force` is not given.
        StillRunning: its programs cannot be killed.
        RunsElsewhere: its main program seems to run on another machine, and `force` is not given.
    """
    return remove_tree(move_to_trash(record, force=force))


def move_to_trash(record: ContainerRecord, *, force: bool = False) -> Path:
    """Move a container to the trash: `remove_container` up to there. Quick.

    Returns the trash's path, for `remove_tree`.
    """
    path = record.real_path
    machine = record.state().elsewhere
    if machine and not force:
        raise RunsElsewhere(record.name, machine)
    if has_guests(path):
        from rootlay.vfs.run.killing import kill_guests  # at the end of most runs there is nothing to kill

        if not force:
            raise ContainerRunning(record.name)
        if not kill_guests(path):
            raise StillRunning(record.name)
    return trash_container(record)

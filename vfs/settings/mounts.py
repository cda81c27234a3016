"""The places on the host of a container's mounts that are not binds: volumes, empty directories, images.

An empty directory (`--tmpfs`) is a directory of the container that is emptied at each start of its main program, and an
image a copy of its files that was made with the container.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from rootlay.store.containers.record import Bind, ContainerRecord
from rootlay.store.disk.removetree import remove_tree
from rootlay.store.model.errors import RootlayError
from rootlay.store.volumes.owners import begin_records, has_records, store_owner
from rootlay.store.volumes.volumes import Volumes

MOUNTS = "mounts"


class BadSubpath(RootlayError):
    """A subpath of a volume or an image that does not exist, or leads out of it."""

    def __init__(self, source: str, subpath: str) -> None:
        super().__init__(f"{source}: the subpath {subpath} is not a file or directory in it")
        self.source = source
        self.subpath = subpath


def own_place(record: ContainerRecord, index: int) -> Path:
    """Return the directory of the container for its mount of this number."""
    return Path(record.real_path, MOUNTS, str(index))


def place_of(record: ContainerRecord, index: int, bind: Bind) -> str:
    """Return the real host path of a mount, the one with this index in the record.

    Raises:
        UnknownVolume, BadSubpath: it does not exist.
    """
    if bind.kind == "volume":
        top = os.path.realpath(Volumes(record.root).find(bind.source).path)
    else:
        top = os.fspath(own_place(record, index))
        os.makedirs(top, exist_ok=True)
    if not bind.subpath:
        return top
    found = os.path.realpath(os.path.join(top, bind.subpath.lstrip("/")))
    if not found.startswith(f"{top}/") or not os.path.exists(found):
        raise BadSubpath(bind.source, bind.subpath)
    return found


def records_owners(record: ContainerRecord, index: int, bind: Bind) -> bool:
    """Return whether the files of a mount have owners and modes of their own (rootlay.store.volumes.owners)."""
    if bind.kind == "volume":
        return has_records(Volumes(record.root).find(bind.source).path)
    return bind.kind == "tmpfs" and has_records(own_place(record, index))


def empty_directories(record: ContainerRecord) -> None:
    """Make the empty directories of a container again: for a start of its main program."""
    for index, bind in enumerate(record.config.binds):
        if bind.kind == "tmpfs":
            place = own_place(record, index)
            if place.exists():
                remove_tree(place)
            place.mkdir(parents=True, mode=0o700)
            mode = bind.owner[2] if len(bind.owner) == 3 else 0o1777
            begin_records(place)
            store_owner(str(place), stat.S_IFDIR | mode, *(bind.owner[:2] or (0, 0)))

"""The mounts of a new container: which volumes it gets, and what is in them at first.

Rules (Docker's):
1. A volume that does not exist is made. One without a name is anonymous: `rm -v` and `--rm` remove it.
2. Each VOLUME of the image without a mount there gets an anonymous volume. An image may say anything there: what is not
   a path below the root is ignored.
3. An empty volume gets a copy of what the image has at its target, unless the mount says `no_copy`.
4. `--volumes-from` repeats the mounts of another container, except those at targets that have one already.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rootlay.store.containers.containers import Containers
from rootlay.store.containers.record import Bind, ContainerConfig, ContainerRecord
from rootlay.store.disk.removetree import remove_tree
from rootlay.store.model.cstring import is_c_string
from rootlay.store.model.errors import RootlayError
from rootlay.store.model.value import replace
from rootlay.store.volumes.volumes import Volumes
from rootlay.vfs.settings.mounts import own_place, place_of, records_owners

if TYPE_CHECKING:
    from rootlay.store.store import ImageStore


class BadVolumesFrom(RootlayError, ValueError):
    """A `--volumes-from` that is not CONTAINER[:ro|rw]."""

    def __init__(self, text: str) -> None:
        super().__init__(f"--volumes-from {text}: expected CONTAINER[:ro|rw]")
        self.text = text


def mounts_of(
    store: ImageStore, binds: Sequence[Bind], image_volumes: Sequence[str], volumes_from: Sequence[str]
) -> tuple[Bind, ...]:
    """Return all mounts of a container, by rules 2 and 4: the caller's first.

    Raises:
        UnknownContainer, BadVolumesFrom: nothing was made.
    """
    found = list(binds)
    for text in volumes_from:
        name, _, mode = text.partition(":")
        if not name or mode not in ("", "ro", "rw", "z", "Z"):
            raise BadVolumesFrom(text)
        for bind in Containers(store.root).find(name).config.binds:
            if bind.kind in ("bind", "volume"):
                _add(found, replace(bind, read_only=bind.read_only or mode == "ro", anonymous=False))
    for target in image_volumes:
        if is_c_string(target) and os.path.normpath(f"/{target}").strip("/"):
            _add(found, Bind("", target, kind="volume", anonymous=True))
    return tuple(found)


def _add(found: list[Bind], bind: Bind) -> None:
    target = os.path.normpath(bind.target)
    if all(os.path.normpath(other.target) != target for other in found):
        found.append(bind)


@contextlib.contextmanager
def volumes_made(store: ImageStore, config: ContainerConfig) -> Iterator[ContainerConfig]:
    """Make the missing volumes of a container, and yield its configuration with all their names.

    No volume is removed until the block ends, in which the caller writes the container's record. If the block fails,
    the new anonymous volumes are removed.
    """
    volumes = Volumes(store.root)
    fresh: list[str] = []
    binds: list[Bind] = []
    try:
        with volumes.using():
            for bind in config.binds:
                if bind.kind == "volume":
                    labels, options = (
                        dict(text.split("=", 1) for text in texts) for texts in (bind.labels, bind.options)
                    )
                    volume = volumes.create(bind.source, labels, options)
                    fresh += [volume.name] if bind.anonymous else []
                    bind = replace(bind, source=volume.name)
                binds.append(bind)
            yield replace(config, binds=tuple(binds))
    except BaseException:
        for trash in volumes.remove_unused(tuple(fresh)):
            remove_tree(trash)
        raise


def fill_mounts(store: ImageStore, record: ContainerRecord) -> None:
    """Copy the image's content into empty volumes (rule 3), and the files of mounted images.

    Raises:
        UnknownImage: an image that is to be mounted.
        OSError: a volume cannot be written.
    """
    for index, bind in enumerate(record.config.binds):
        if bind.kind == "image":
            _copy_image(store, record, index, bind)
        elif bind.kind == "volume" and not bind.no_copy and not bind.subpath:
            place = place_of(record, index, bind)
            if not os.listdir(place):
                _copy_up(record, bind.target, place, owners=records_owners(record, index, bind))


def _copy_up(record: ContainerRecord, target: str, place: str, *, owners: bool) -> None:
    from rootlay.vfs.changes.transfer import copy_out
    from rootlay.vfs.overlay.containerstack import open_overlay

    with open_overlay(record) as overlay:
        try:
            found = overlay.find(os.fsencode(target))
        except (FileNotFoundError, NotADirectoryError):  # what is above the place is not in the image either
            return
        if found is None or not found.is_dir:
            return
        source = os.fsencode(target.rstrip("/") + "/.")
        copy_out(overlay, source, os.fsencode(place), skipped=lambda path: None, owners=owners, fills=True)


def _copy_image(store: ImageStore, record: ContainerRecord, index: int, bind: Bind) -> None:
    from rootlay.vfs.changes.transfer import copy_all_out
    from rootlay.vfs.containers.imageview import open_image

    place = own_place(record, index)
    with open_image(store.root, store.image(bind.source)) as overlay:
        copy_all_out(overlay, os.fsencode(place), lambda path: None)

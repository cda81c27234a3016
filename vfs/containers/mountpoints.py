"""The directories that lead to the mounts of a read-only container.

The engine makes them where the container can be written to (vfs/csrc/core/layers/mountpoints.c). With --read-only it
cannot: they are made with the container, in its upper, as Docker makes them before it mounts the root read-only.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rootlay.store.containers.record import ContainerRecord

if TYPE_CHECKING:
    from rootlay.vfs.overlay.overlay import Overlay


def make_mount_points(record: ContainerRecord) -> None:
    """Make the missing directories above each mount; they belong to root. Idempotent.

    Raises:
        CorruptStore: a view or layer is damaged.
    """
    from rootlay.vfs.overlay.containerstack import open_overlay

    with open_overlay(record) as overlay:
        for bind in record.config.binds:
            _make_parents(overlay, bind.target)


def _make_parents(overlay: Overlay, target: str) -> None:
    parts = [part for part in target.split("/") if part][:-1]
    for count in range(1, len(parts) + 1):
        try:
            overlay.mkdir(os.fsencode("/" + "/".join(parts[:count])), 0o755)
        except OSError:
            continue  # usually EEXIST; any other failure shows when the mount is used

"""The template of the launch files of wrapped commands (docs/format.md §17)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from rootlay.store.containers.record import ContainerRecord
from rootlay.store.model.value import replace
from rootlay.vfs.run.containerlaunch import CONFINE, NETWORK, make_launch
from rootlay.vfs.run.launch import FLAG_PATCH, Launch
from rootlay.vfs.wrap.settings import BELOW_RUN, CONTAINER_ID, relative

OF_THIS_START = frozenset({b"/etc/resolv.conf", b"/etc/hosts", b"/etc/hostname"})
"""Binds that each start makes itself: the machine's own files, as they are then."""


def make_template(record: ContainerRecord, directory: Path, engine: Path, *, shared: bool) -> Launch:
    """Return the launch file of the wrapped commands in `directory`.

    Args:
        record: a container of the image; its upper is used if it is `shared`.
    """
    flags = FLAG_PATCH | CONFINE[record.config.confine] | NETWORK.get(record.config.network, 0)
    launch = make_launch(record, flags=flags, engine=engine, alias_later=True)
    short: Callable[[bytes], bytes] = lambda path: relative(path, directory)  # noqa: E731
    dirs = [replace(layer, path=short(layer.path), bloom=short(layer.bloom)) for layer in launch.dirs]
    if not shared:
        dirs[0] = replace(dirs[0], path=BELOW_RUN + b"/upper", bloom=BELOW_RUN + b"/bloom")
    binds = [replace(bind, host=short(bind.host)) for bind in launch.binds if bind.vpath not in OF_THIS_START]
    return replace(
        launch,
        engine=short(launch.engine),
        view=short(launch.view),
        layers=tuple(map(short, launch.layers)),
        dirs=tuple(dirs),
        binds=tuple(binds),
        lock=short(launch.lock) if shared else BELOW_RUN + b"/lock",
        container_id=launch.container_id if shared else CONTAINER_ID,
        alias=b"",
    )


def run_directory(record: ContainerRecord, directory: Path) -> str:
    """Return the directory of the shared upper."""
    return os.fsdecode(relative(os.fsencode(record.real_path), directory))

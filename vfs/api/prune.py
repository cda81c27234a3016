"""`prune`: removal of stopped containers, and of everything in the store that is not needed."""

from __future__ import annotations

import contextlib
import os
import time

from rootlay.store.containers.containers import Containers
from rootlay.store.containers.record import ContainerRecord
from rootlay.store.containers.removal import sweep_containers, trash_container
from rootlay.store.disk.owner import is_gone
from rootlay.store.disk.removetree import remove_tree
from rootlay.store.disk.walktree import disk_bytes
from rootlay.store.layout.removal import Removed
from rootlay.store.model.progress import Meter, Progress, silent
from rootlay.store.model.value import value
from rootlay.store.store import ImageStore
from rootlay.vfs.build.cache.gcroots import needed
from rootlay.vfs.run.processes import has_guests
from rootlay.vfs.run.status import is_restarting

ABANDONED_NS = 3600 * 10**9


@value
class Pruned:
    """The names of the removed containers, the removed parts of images, and the freed bytes."""

    containers: tuple[str, ...]
    removed: Removed
    freed_bytes: int


def prune(store: ImageStore, *, dry_run: bool = False, progress: Progress = silent) -> Pruned:
    """Remove stopped containers, images without a name, and garbage. Safe next to all other operations.

    Containers that never ran stay, as do those whose runner is alive. An ephemeral container of the Python API stays as
    long as the process that made it is alive.

    Args:
        dry_run: report what would be removed, and remove nothing.
        progress: receives the bytes on disk of the containers that were removed.

    Raises StoreNotWritable, CorruptStore, BadManifest.
    """
    containers = Containers(store.root)
    gone = [record for record in containers.iter_all() if _is_stopped(record)]
    if dry_run:
        freed = sum(disk_bytes(record.path) for record in gone)
        removed = store.prune(in_use=lambda: needed(store, without=gone), dry_run=True)
    else:
        meter = Meter(progress, "removing containers", lambda: sum(disk_bytes(record.path) for record in gone))
        freed = sum(remove_tree(trash_container(record), freed=meter.add) for record in gone if _is_stopped(record))
        Meter(progress, "removing unused images and leftovers")
        sweep_containers(containers.path)
        removed = store.prune(in_use=lambda: needed(store))
    return Pruned(tuple(record.name for record in gone), removed, freed + removed.freed_bytes)


def _is_stopped(record: ContainerRecord) -> bool:
    """Return whether the program of the container has ended, and no process is about to start another one."""
    state = record.state()
    if state.elsewhere or is_restarting(record, state):
        return False
    if record.config.owner:
        return is_gone(record.config.owner) and not has_guests(os.path.realpath(record.path))
    if not state.started_ns and not state.finished_ns:
        # Kept for `start`; but only prune removes a `run --rm` that was killed before it could do so.
        age_ns = time.time_ns() - record.config.created_ns
        return record.config.auto_remove and age_ns > ABANDONED_NS and not _has_living_session(record)
    return not has_guests(os.path.realpath(record.path)) and not _has_living_session(record)


def _has_living_session(record: ContainerRecord) -> bool:
    """Return whether a session is alive. Its launch file names its maker (see `rootlay.vfs.containers.snapshots`)."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(record.path):
            if name.startswith("launch-"):
                with contextlib.suppress(ProcessLookupError, ValueError):
                    os.kill(int(name.split("-")[1]), 0)
                    return True
    return False

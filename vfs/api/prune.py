"""`prune`: stopped containers, and everything in the store that nothing needs."""

from __future__ import annotations

import contextlib
import os
import time

from rootlay.store.containers.containers import Containers
from rootlay.store.containers.record import ContainerRecord
from rootlay.store.disk.owner import is_gone
from rootlay.store.layout.removal import Removed
from rootlay.store.model.value import value
from rootlay.store.store import ImageStore
from rootlay.vfs.build.cache.gcroots import needed
from rootlay.vfs.run.processes import has_guests

ABANDONED_NS = 3600 * 10**9


@value
class Pruned:
    """The names of containers that went, what went with the images, and all bytes that became free."""

    containers: tuple[str, ...]
    removed: Removed
    freed_bytes: int


def prune(store: ImageStore, *, dry_run: bool = False) -> Pruned:
    """Remove stopped containers, images without a name, and garbage; safe beside everything else that goes on.

    Containers that never ran stay, as do those whose runner is alive. An ephemeral one of the Python API stays as
    long as the process that made it, and no longer.

    Args:
        dry_run: say what would go, and touch nothing.

    Raises StoreNotWritable, CorruptStore, BadManifest.
    """
    containers = Containers(store.root)
    gone = [record for record in containers.iter_all() if _is_stopped(record)]
    if dry_run:
        freed = sum(containers.size(record) for record in gone)
        removed = store.prune(in_use=lambda: needed(store, without=gone), dry_run=True)
    else:
        freed = sum(containers.discard(record) for record in gone if _is_stopped(record))
        containers.sweep()
        removed = store.prune(in_use=lambda: needed(store))
    return Pruned(tuple(record.name for record in gone), removed, freed + removed.freed_bytes)


def _is_stopped(record: ContainerRecord) -> bool:
    """Whether its program is over, and nobody is about to start another one."""
    state = record.state()
    if state.elsewhere:
        return False
    if record.config.owner:
        return is_gone(record.config.owner) and not has_guests(os.path.realpath(record.path))
    if not state.started_ns and not state.finished_ns:
        # Kept for `start`; but a `run --rm` that was killed before it came to that has no other end.
        age_ns = time.time_ns() - record.config.created_ns
        return record.config.auto_remove and age_ns > ABANDONED_NS and not _has_living_session(record)
    return not has_guests(os.path.realpath(record.path)) and not _has_living_session(record)


def _has_living_session(record: ContainerRecord) -> bool:
    """A session's launch file names its maker (see `rootlay.vfs.containers.snapshots`)."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(record.path):
            if name.startswith("launch-"):
                with contextlib.suppress(ProcessLookupError, ValueError):
                    os.kill(int(name.split("-")[1]), 0)
                    return True
    return False

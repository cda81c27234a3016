"""Removal of containers and of uppers that no container uses any more: a rename into the trash; deletion follows."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from rootlay.store.containers.names import ContainerNames
from rootlay.store.containers.record import ContainerRecord, container_ids
from rootlay.store.containers.upperstack import SNAPSHOTS, STACK_FILE, changing, collect_uppers, references_of
from rootlay.store.disk.removetree import remove_tree


def trash_container(record: ContainerRecord, *, bases_stay: bool = False) -> Path:
    """Remove a container: move its files to the returned path, for `remove_tree`. Fast.

    The caller has ensured that no program runs in it. The directory is renamed first, so that a half-removed container
    is never listed. An upper that the user keeps elsewhere is left alone, as is a frozen one that another container
    uses.

    Args:
        bases_stay: the containers below whose uppers this one uses exist: then it takes no search of all containers to
            know that only its own directory goes.
    """
    containers = record.path.parent
    for alias in record.aliases:
        with contextlib.suppress(OSError):
            if os.readlink(alias) == record.real_upper:
                alias.unlink()
    # Under the lock: no process makes a reference to the upper between the check and the removal.
    with changing(containers), _held(record.lock):
        (record.path / "config.json").unlink(missing_ok=True)  # from here on it is not a container
        # No process takes the name while another holds the container's lock (`lives`): it is still ours to remove.
        names = ContainerNames(containers)
        if names.holder(record.name) == record.id:
            names.release(record.name)
        owners = {place.partition("/")[0] for place in references_of(record.path)}
        if not (record.path / STACK_FILE).exists() or (bases_stay and owners <= {record.id, *_bases(record)}):
            # no other container can have a reference
            trash = _new_trash(containers)
            with contextlib.suppress(FileNotFoundError):
                record.path.rename(trash)
            return trash
    return trash_uppers(containers, owners)


def _bases(record: ContainerRecord) -> set[str]:
    """Return the owners of the uppers below a container; nothing if others may use its own."""
    owners = {frozen.owner for frozen in record.stack().frozen}
    return set() if record.id in owners or (record.path / SNAPSHOTS).exists() else owners


def trash_uppers(containers: Path, owners: Iterable[str]) -> Path:
    """Move the uppers of the containers `owners` that no container uses any more to the returned path. Fast."""
    trash = _new_trash(containers)
    collect_uppers(containers, owners, trash)
    return trash


def sweep_containers(containers: Path, older_than_s: float = 3600) -> int:
    """Remove older directories without a record and older names without a target. Returns how many."""
    limit = time.time() - older_than_s
    old = [identity for identity in container_ids(containers) if _is_leftover(containers / identity, limit)]
    if old:
        remove_tree(trash_uppers(containers, old))
    swept = sum(not (containers / identity).exists() for identity in old)
    return swept + ContainerNames(containers).sweep(limit)


def _new_trash(containers: Path) -> Path:
    trash = containers.parent / "tmp" / f"removed-{os.getpid()}-{os.urandom(4).hex()}"
    trash.parent.mkdir(mode=0o700, exist_ok=True)
    return trash


def _is_leftover(path: Path, limit: float) -> bool:
    """Return whether a directory may hold unneeded files: it is not a container, or it has frozen uppers."""
    with contextlib.suppress(FileNotFoundError):
        loose = (path / STACK_FILE).exists() or not (path / "config.json").exists()
        return loose and path.stat().st_mtime < limit
    return False


@contextlib.contextmanager
def _held(lock: Path) -> Iterator[None]:
    """Ensure that a container's lock is held: take it if it is free."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    try:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)

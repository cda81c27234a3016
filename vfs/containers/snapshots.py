"""Snapshots, rollbacks and forks of a container, in a time that does not depend on the image's size.

    before = container.snapshot("before")
    …
    container.rollback(before)
    with container.fork() as other: …

Rules:
1. A snapshot freezes the writable upper in place and gives the container a new, empty one: nothing is copied
   (`store.containers.upperstack`). A rollback returns to the snapshot's uppers; a fork is a new container on the same
   uppers.
2. Only one file changes, and it is replaced in one step: after a kill at any moment, a container has the old state or
   the new one.
3. An upper that a process may write to cannot be frozen: `ContainerRunning` if a program runs inside, or if a process
   has opened a session to start programs. Python file systems of *other* handles are not detected: a caller that has
   one open on the same container must open it again afterwards.
4. The engine supports 32 directory layers, and follows few redirects in sequence: frozen uppers beyond that are merged
   (`vfs.changes.flatten`), the youngest first, so that each file is copied O(log n) times in n snapshots.
5. A file with several hard links in a frozen upper is one file until a name is changed; the change separates that name,
   as with every lower layer.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from rootlay.store.containers.bloom import create_bloom, create_removed, removed_name
from rootlay.store.containers.containers import Containers
from rootlay.store.containers.names import NAME_PATTERN
from rootlay.store.containers.record import ContainerRecord
from rootlay.store.containers.removal import trash_uppers
from rootlay.store.containers.upperstack import (
    FORM,
    SNAPSHOTS,
    FrozenUpper,
    Snapshot,
    UpperStack,
    bloom_name,
    iter_snapshots,
    referring,
    write_snapshot,
    write_stack,
)
from rootlay.store.disk.durable import sync_path, sync_tree
from rootlay.store.disk.owner import own_name
from rootlay.store.disk.removetree import remove_tree
from rootlay.store.model.containererrors import (
    BadContainerName,
    RunsElsewhere,
    SnapshotExists,
    TooManyLayers,
    UnknownSnapshot,
    UpperKeptElsewhere,
)
from rootlay.store.model.errors import ContainerRunning, UnknownContainer
from rootlay.store.model.progress import Progress, silent
from rootlay.store.model.value import replace
from rootlay.vfs.changes.flatten import flatten, has_redirects
from rootlay.vfs.containers.create import copy_files
from rootlay.vfs.merge.bloom import RECORD as RECORD_KIND
from rootlay.vfs.merge.bloom import Bloom
from rootlay.vfs.merge.stack import DirLayer
from rootlay.vfs.merge.whiteout import RECORD
from rootlay.vfs.overlay.containerstack import frozen_layers, open_overlay, settle_removals
from rootlay.vfs.run.processes import has_guests

FROZEN_MAX = 12
"""Frozen uppers of one container. The engine keeps 64 aliases a path, and a redirect takes one for each layer below."""
REDIRECTING_MAX = 4
"""The limit of those that may redirect: the core follows six redirects in sequence."""
DIRS_MAX = 32


def create_snapshot(record: ContainerRecord, name: str, own: Collection[Path], progress: Progress = silent) -> Snapshot:
    """Freeze the state of a container under a name (empty: chosen).

    Args:
        own: the caller's own launch files for the container; they do not cause `ContainerRunning`.
        progress: receives the names that are merged, if the container has too many snapshots (rule 4).

    Raises:
        SnapshotExists, BadContainerName, ContainerRunning, UpperKeptElsewhere, TooManyLayers: nothing was changed.
    """
    if name and not NAME_PATTERN.fullmatch(name):
        raise BadContainerName(name, "snapshot")
    with referring(record.path.parent), _exclusively(record):
        taken = {snapshot.name for snapshot in iter_snapshots(record.path)}
        if name in taken:
            raise SnapshotExists(record.name, name)
        stack = _freeze(record, own, progress)
        name = name or next(chosen for n in range(len(taken) + 1) if (chosen := f"s{len(taken) + n + 1}") not in taken)
        snapshot = Snapshot(record.id, name, time.time_ns(), stack.frozen)
        write_snapshot(record.path, snapshot)
        return snapshot


def find_snapshot(record: ContainerRecord, name: str) -> Snapshot:
    """Return a snapshot by name; the youngest for an empty name. Raises UnknownSnapshot."""
    found = [snapshot for snapshot in iter_snapshots(record.path) if name in ("", snapshot.name)]
    if not found:
        raise UnknownSnapshot(record.name, name)
    return found[-1]


def remove_snapshot(record: ContainerRecord, snapshot: Snapshot) -> int:
    """Remove a snapshot. Objects that use its files keep them. Returns the number of bytes freed.

    Raises:
        UnknownSnapshot: it no longer exists.
    """
    try:
        (record.path / SNAPSHOTS / f"{snapshot.name}.json").unlink()
    except FileNotFoundError as error:
        raise UnknownSnapshot(record.name, snapshot.name) from error
    return remove_tree(trash_uppers(record.path.parent, {record.id, *(frozen.owner for frozen in snapshot.frozen)}))


def roll_back(record: ContainerRecord, snapshot: Snapshot, own: Collection[Path]) -> Path:
    """Restore the state of one of a container's snapshots (or of another container's on the same image).

    Later changes that are not in a snapshot are lost: they are in the trash at the returned path, for `remove_tree`.

    Raises:
        ContainerRunning, UpperKeptElsewhere, UnknownSnapshot: nothing was changed.
    """
    _require_own_upper(record)
    with referring(record.path.parent), _exclusively(record):
        stack = record.stack()
        _require_idle(record, own)
        if not any(snapshot == known for known in iter_snapshots(record.path.parent / snapshot.container)):
            raise UnknownSnapshot(record.name, snapshot.name)
        _switch(record, stack, snapshot.frozen)
    return trash_uppers(record.path.parent, {record.id, *(frozen.owner for frozen in stack.frozen)})


def fork_container(
    record: ContainerRecord,
    name: str,
    snapshot: Snapshot | None,
    own: Collection[Path],
    *,
    kept: bool = True,
) -> ContainerRecord:
    """Make a container with the state and configuration of another one, or of its snapshot. Its changes are separate.

    Args:
        kept: the container must outlive this process, and a power failure.

    Raises:
        NameInUse, BadContainerName: nothing was changed.
        ContainerRunning, UpperKeptElsewhere, TooManyLayers: likewise; not from a snapshot.
    """
    containers = Containers(record.root)
    with referring(containers.path):
        if snapshot is None:
            with _exclusively(record):
                frozen = _freeze(record, own).frozen
        else:
            frozen = snapshot.frozen
            if find_snapshot(record, snapshot.name) != snapshot:
                raise UnknownSnapshot(record.name, snapshot.name)
        stack = UpperStack(frozen=frozen)
        made = containers.create(
            replace(record.config, id="", name=name, created_ns=0, auto_remove=False, owner="" if kept else own_name()),
            stack,
            kept=kept,
        )
        try:
            copy_files(record, made)
            _begin(made, stack, frozen)
        except BaseException:
            containers.abandon(made)
            raise
        return made


def _freeze(record: ContainerRecord, own: Collection[Path], progress: Progress = silent) -> UpperStack:
    """Freeze the writable upper unless it is empty. Precondition: both locks are held."""
    _require_own_upper(record)
    _require_idle(record, own)
    stack = record.stack()
    settle_removals(record, held=True, durable=True)  # a frozen upper has no map
    if _is_empty(record, stack):
        return stack
    _settle_root(record, stack)
    frozen = (FrozenUpper(f"{record.id}/{stack.upper}"), *stack.frozen)
    return _switch(record, stack, _limit(record, frozen, progress))


def _switch(record: ContainerRecord, stack: UpperStack, frozen: tuple[FrozenUpper, ...]) -> UpperStack:
    """Put the container on other frozen uppers, with a new writable one."""
    _forget_aliases(record, stack)
    new = UpperStack(_new_upper(record), frozen)
    _begin(record, new, frozen)
    for path in (record.bloom_of(new), record.upper_of(new)):
        sync_path(path)  # before the stack that names it
    write_stack(record.path, new)
    return new


def _new_upper(record: ContainerRecord) -> str:
    name = f"upper-{os.urandom(4).hex()}"
    bloom, removed = record.path / bloom_name(name), record.path / removed_name(name)
    create_bloom(bloom, None)
    try:
        create_removed(removed, record.root, record.config.chain)
        (record.path / name).mkdir(mode=0o755)
    except OSError:  # a full disk
        bloom.unlink()
        removed.unlink(missing_ok=True)
        raise
    return name


def _begin(record: ContainerRecord, stack: UpperStack, frozen: tuple[FrozenUpper, ...]) -> None:
    """Give a new upper's root the record, xattrs and times of the uppermost frozen one's root.

    Without a frozen upper it shows mode and owner of the root below it, as in every new container.
    """
    if not frozen:
        return
    top, upper = frozen_layers(record, frozen[:1])[0], record.upper_of(stack)
    before = os.lstat(top.real(b""))
    text = _root_record(top.real(b""))
    with Bloom(record.bloom_of(stack)) as bloom:
        bloom.add(b"", RECORD_KIND)
    if text is not None:
        os.symlink(text, os.fsencode(upper) + b"/" + RECORD)
    for name, data in _xattrs(top.real(b"")).items():
        os.setxattr(upper, name, data)
    os.chmod(upper, before.st_mode & 0o1777)
    os.utime(upper, ns=(before.st_atime_ns, before.st_mtime_ns))


def _root_record(real: bytes) -> bytes | None:
    try:
        return os.readlink(real + b"/" + RECORD)
    except FileNotFoundError:
        return None


def _is_empty(record: ContainerRecord, stack: UpperStack) -> bool:
    """Return whether an upper adds nothing to the uppers below it."""
    upper = os.fsencode(record.upper_of(stack))
    names = os.listdir(upper)
    if not stack.frozen:
        return not names and _xattrs(upper).keys() <= {FORM}  # the root's own changes are attributes
    if names not in ([], [RECORD]):
        return False
    top = frozen_layers(record, stack.frozen[:1])[0].real(b"")
    before, now = os.lstat(top), os.lstat(upper)
    same = (before.st_mode, before.st_mtime_ns) == (now.st_mode, now.st_mtime_ns)
    return same and _root_record(top) == _root_record(upper) and _xattrs(top) == _xattrs(upper)


def _xattrs(real: bytes) -> dict[str, bytes]:
    return {name: os.getxattr(real, name) for name in os.listxattr(real) if name.startswith("user.")}


def _settle_root(record: ContainerRecord, stack: UpperStack) -> None:
    """Record the attributes of the root: a writable upper inherits them from below until they change; a frozen one must
    record them."""
    layer = DirLayer.at(record.upper_of(stack), marks=True)
    if layer.record(b"", b"").mode is not None:
        return
    with open_overlay(record) as overlay:
        root = overlay.get(b"/")
        shown = overlay.context.attributes(root)
        upper = overlay.context.upper
        with upper.keeping_times(b""):
            settled = replace(root.record, mode=shown.mode, uid=shown.uid, gid=shown.gid)
            upper.write_record(b"", settled)


def _limit(record: ContainerRecord, frozen: tuple[FrozenUpper, ...], progress: Progress) -> tuple[FrozenUpper, ...]:
    """Merge the youngest frozen uppers if there are too many (rule 4)."""
    room = min(FROZEN_MAX, DIRS_MAX - 1 - len(record.config.lowers))
    if room < 1:
        raise TooManyLayers(record.name, len(record.config.lowers))
    if len(frozen) > REDIRECTING_MAX:
        frozen = tuple(_looked(record, upper) for upper in frozen)
    if len(frozen) <= room and sum(upper.redirects is True for upper in frozen) <= REDIRECTING_MAX:
        return frozen
    weight, count = frozen[0].weight, 1
    while count < len(frozen) and (count < 2 or frozen[count].weight < 2 * weight):
        weight += frozen[count].weight
        count += 1
    name = _new_upper(record)
    flatten(frozen_layers(record, frozen[:count]), record.path / name, record.path / bloom_name(name), progress)
    sync_tree(record.path / name)  # the uppers that it replaces may be removed, and were on the disk
    sync_path(record.path / bloom_name(name))
    merged = FrozenUpper(f"{record.id}/{name}", weight)
    return _limit(record, (merged, *frozen[count:]), progress)


def _looked(record: ContainerRecord, upper: FrozenUpper) -> FrozenUpper:
    if upper.redirects is not None:
        return upper
    return replace(upper, redirects=has_redirects(frozen_layers(record, (upper,))[0]))


def _forget_aliases(record: ContainerRecord, stack: UpperStack) -> None:
    """Remove the upper's short name for sockets (rootlay.vfs.run.containerlaunch); the next program makes a new one."""
    for alias in record.aliases:
        with contextlib.suppress(OSError):
            if os.readlink(alias) == os.path.realpath(record.upper_of(stack)):
                alias.unlink()


def _require_own_upper(record: ContainerRecord) -> None:
    if record.config.upper:
        raise UpperKeptElsewhere(record.name, record.config.upper)


def _require_idle(record: ContainerRecord, own: Collection[Path]) -> None:
    """Raise ContainerRunning if a program runs inside or may be started at any moment.

    A session's launch file names its maker, and stays until the hydrator sees that the last program has ended.
    """
    launches = [name for name in os.listdir(record.path) if name.startswith("launch-")]
    if not launches:
        return
    if machine := record.state().elsewhere:
        raise RunsElsewhere(record.name, machine)
    if has_guests(os.path.realpath(record.path)):
        raise ContainerRunning(record.name)
    for name in launches:
        if any(path.name == name for path in own):
            continue
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(int(name.split("-")[1]), 0)
            raise ContainerRunning(record.name)


@contextlib.contextmanager
def _exclusively(record: ContainerRecord) -> Iterator[None]:
    """Hold the lock of a container's upper. Raises UnknownContainer if it was removed."""
    try:
        descriptor = os.open(record.lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise UnknownContainer(record.name) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if not (record.path / "config.json").exists():
            raise UnknownContainer(record.name)
        yield
    finally:
        os.close(descriptor)

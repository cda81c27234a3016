"""Container records: `containers/<id>/` and the names that lead to them.

Rules:
1. `config.json` is written once, at creation, by rename; the later changes (state, the stack of uppers) are in their
   own files. A container exists if its `config.json` exists: a half-made one is a leftover that the next sweep removes,
   and a removed one may stay for a frozen upper (`rootlay.store.containers.upperstack`).
2. A name is a symbolic link `containers/names/<name>` -> `../<id>`: creating it is the atomic test for uniqueness.
   A rename that is killed leaves two names; the one that is not in the record is free again after a minute.
3. Records are not synced to disk one by one (a container must start in milliseconds); a kill of the process loses
   nothing, a power failure may lose containers of the last seconds.
4. No process table is kept here: the kernel says whether a container runs (`rootlay.vfs.run.processes`).
5. On the path of every `rootlay run`: no heavy imports.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from rootlay.store.containers.bloom import create_bloom
from rootlay.store.containers.names import random_name
from rootlay.store.containers.record import ContainerConfig, ContainerRecord, read_state
from rootlay.store.containers.upperstack import (
    STACK_FILE,
    UpperStack,
    changing,
    collect_uppers,
    references_of,
    write_stack,
)
from rootlay.store.disk.durable import replace_file
from rootlay.store.disk.removetree import remove_tree
from rootlay.store.disk.smallfile import read_small
from rootlay.store.disk.trash import disk_bytes, empty_trash
from rootlay.store.model.containererrors import AmbiguousContainer, BadContainerName
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import NameInUse, UnknownContainer
from rootlay.store.model.value import replace

NAME_PATTERN = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
ID_PATTERN = re.compile(r"[0-9a-f]{64}")
RENAME_PATIENCE_S = 60


class Containers:
    """All containers of a store. Not thread safe by itself; safe between processes."""

    __slots__ = ("_names", "path")

    def __init__(self, root: Path) -> None:
        self.path = root / "containers"
        self._names = self.path / "names"

    def create(self, config: ContainerConfig, stack: UpperStack | None = None, *, kept: bool = True) -> ContainerRecord:
        """Make the directory, the empty upper and the record. An empty `config.id` or `.name` is chosen here.

        Args:
            stack: frozen uppers to use; the caller holds the reference lock.
            kept: whether the stack must survive a power failure.

        Raises:
            NameInUse: another container has the name. Nothing is left behind.
            BadContainerName: the name is not valid.
        """
        self._names.mkdir(parents=True, exist_ok=True, mode=0o700)
        identity = config.id or os.urandom(32).hex()
        name = config.name or random_name()
        if not NAME_PATTERN.fullmatch(name):
            raise BadContainerName(name)
        path = self.path / identity
        path.mkdir(mode=0o700)
        # Held until the record is there: another process that finds the name taken by a container without a record
        # learns from the lock whether that is being made, or its maker is dead.
        making = os.open(path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        record = ContainerRecord(replace(config, id=identity, name=""), path)
        try:
            fcntl.flock(making, fcntl.LOCK_EX)
            while (holder := self._claim(name, identity)) is not None:
                if config.name:
                    raise NameInUse(name, holder[:12])
                name = random_name()
            config = replace(config, id=identity, name=name, created_ns=config.created_ns or time.time_ns())
            record = ContainerRecord(config, path)
            if not config.upper:
                record.upper.mkdir(mode=0o755)
            create_bloom(path / "bloom", record.upper if config.upper else None)
            if stack is not None:
                write_stack(path, stack, durable=kept)
            replace_file(path / "config.json", json.dumps(config.to_json()).encode())
        except BaseException:
            self.abandon(record)
            raise
        finally:
            os.close(making)
        return record

    def abandon(self, record: ContainerRecord) -> None:
        """Remove a container that this caller is still making. Takes no lock."""
        if record.name:
            (self._names / record.name).unlink(missing_ok=True)
        remove_tree(record.path)

    def find(self, reference: str) -> ContainerRecord:
        """Find by name, ID or unique ID prefix.

        Raises:
            UnknownContainer: no container fits.
            AmbiguousContainer: the prefix fits several.
        """
        if NAME_PATTERN.fullmatch(reference):
            with contextlib.suppress(OSError):
                record = self._read(os.path.basename(os.readlink(self._names / reference)))
                if record is not None:
                    return record
        if re.fullmatch(r"[0-9a-f]{1,64}", reference):
            matching = map(self._read, (name for name in self._ids() if name.startswith(reference)))
            found = [record for record in matching if record is not None]
            if len(found) > 1:
                raise AmbiguousContainer(reference, tuple(record.id for record in found))
            if found:
                return found[0]
        raise UnknownContainer(reference)

    def iter_all(self) -> Iterator[ContainerRecord]:
        """Yield all containers, newest first."""
        return self.iter_of(self._ids())

    def iter_of(self, identities: Iterable[str]) -> Iterator[ContainerRecord]:
        """Yield the existing containers among these IDs, newest first."""
        records = [record for record in map(self._read, identities) if record is not None]
        yield from sorted(records, key=lambda record: -record.config.created_ns)

    def maybe_running(self) -> tuple[set[str], set[str]]:
        """Return the IDs of the containers in which programs may run here, and of those that may run on another
        machine.

        One listing for each: a session's launch file stays while a program runs, and without one only the state of a
        container may say that it was started elsewhere.
        """
        here: set[str] = set()
        elsewhere: set[str] = set()
        for identity in self._ids():
            path = f"{self.path}/{identity}"
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                names = os.listdir(path)
                if any(name.startswith("launch-") for name in names):
                    here.add(identity)
                elif "state.json" in names and read_state(path).elsewhere:
                    elsewhere.add(identity)
        return here, elsewhere

    def rename(self, record: ContainerRecord, name: str) -> ContainerRecord:
        """Give a container another name.

        Raises:
            NameInUse, BadContainerName: as for create; the old name stays.
        """
        if not NAME_PATTERN.fullmatch(name):
            raise BadContainerName(name)
        holder = self._claim(name, record.id)
        unfinished = holder == record.id and record.name != name  # a rename was killed after its first step
        if holder is not None and not unfinished:
            raise NameInUse(name, holder[:12])
        renamed = ContainerRecord(replace(record.config, name=name), record.path)
        replace_file(record.path / "config.json", json.dumps(renamed.config.to_json()).encode(), durable=True)
        (self._names / record.name).unlink(missing_ok=True)
        return renamed

    def discard(self, record: ContainerRecord) -> int:
        """Remove a container. The caller has ensured that no program runs in it. Returns the number of bytes freed."""
        return empty_trash(self.move_to_trash(record))

    def move_to_trash(self, record: ContainerRecord) -> Path:
        """Remove as `discard`, but only move the files to the returned path, for `empty_trash`. Fast.

        The directory is renamed first, so that a half-removed container is never listed. An upper that the user keeps
        elsewhere is left alone, as is a frozen one that another container uses.
        """
        for alias in record.aliases:
            with contextlib.suppress(OSError):
                if os.readlink(alias) == record.real_upper:
                    alias.unlink()
        # Under the lock: no process makes a reference to the upper between the check and the removal.
        with changing(self.path), _held(record.lock):
            (record.path / "config.json").unlink(missing_ok=True)  # from here on it is not a container
            # No process takes the name while another holds the container's lock (`lives`): it is still ours to remove.
            with contextlib.suppress(OSError):
                if os.path.basename(os.readlink(self._names / record.name)) == record.id:
                    (self._names / record.name).unlink()
            owners = {place.partition("/")[0] for place in references_of(record.path)}
            if not (record.path / STACK_FILE).exists():  # no other container can have a reference
                trash = self._trash()
                with contextlib.suppress(FileNotFoundError):
                    record.path.rename(trash)
                owners.clear()
        return self.unlink_uppers(owners) if owners else trash

    def collect(self, owners: Iterable[str]) -> int:
        """Remove the uppers of these containers that no container uses any more. Returns the number of bytes freed."""
        return empty_trash(self.unlink_uppers(owners))

    def unlink_uppers(self, owners: Iterable[str]) -> Path:
        """Remove as `collect`, but only move the uppers to the returned path, for `empty_trash`. Fast."""
        trash = self._trash()
        collect_uppers(self.path, owners, trash)
        return trash

    def _trash(self) -> Path:
        trash = self.path.parent / "tmp" / f"removed-{os.getpid()}-{os.urandom(4).hex()}"
        trash.parent.mkdir(mode=0o700, exist_ok=True)
        return trash

    def size(self, record: ContainerRecord) -> int:
        """Return the bytes on disk of a container's directory."""
        return disk_bytes(record.path)

    def needed(self, without: Collection[str] = ()) -> set[Digest]:
        """Return the diff IDs and chain IDs that containers still need, except those with the IDs `without`."""
        found: set[Digest] = set()
        for record in self.iter_all():
            if record.id in without:
                continue
            found.update(map(Digest.parse, record.config.layers))
            if record.config.chain:
                found.add(Digest.parse(record.config.chain))
        return found

    def sweep(self, older_than_s: float = 3600) -> int:
        """Remove older directories without a record and older names without a target. Returns how many."""
        swept = 0
        limit = time.time() - older_than_s
        old = {identity for identity in self._ids() if self._is_leftover(self.path / identity, limit)}
        if old:
            self.collect(old)
            swept += sum(not (self.path / identity).exists() for identity in old)
        for link in self._names.iterdir() if self._names.is_dir() else ():
            with contextlib.suppress(FileNotFoundError):
                if self.is_stale(link) or (not link.exists() and link.lstat().st_mtime < limit):
                    link.unlink()
                    swept += 1
        return swept

    def _is_leftover(self, path: Path, limit: float) -> bool:
        """Return whether a directory may hold unneeded files: it is not a container, or it has frozen uppers."""
        with contextlib.suppress(FileNotFoundError):
            loose = (path / STACK_FILE).exists() or not (path / "config.json").exists()
            return loose and path.stat().st_mtime < limit
        return False

    def _ids(self) -> list[str]:
        try:
            return [name for name in os.listdir(self.path) if ID_PATTERN.fullmatch(name)]
        except FileNotFoundError:
            return []

    def _read(self, identity: str) -> ContainerRecord | None:
        try:
            data = json.loads(read_small(f"{self.path}/{identity}/config.json"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return ContainerRecord(ContainerConfig.from_json(data), self.path / identity)

    def lives(self, identity: str) -> bool:
        """Return whether a container has its record, or is being made at this moment."""
        if (self.path / identity / "config.json").exists():
            return True
        try:
            lock = os.open(self.path / identity / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return (self.path / identity / "config.json").exists()

    def is_stale(self, link: Path) -> bool:
        """Return whether a name leads to a container of another name that is not being renamed at this moment."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):  # a damaged record is handled elsewhere
            if time.time() - link.lstat().st_mtime > RENAME_PATIENCE_S:
                record = self._read(os.path.basename(os.readlink(link)))
                return record is not None and record.name != link.name
        return False

    def _claim(self, name: str, identity: str) -> str | None:
        """Take a name. Returns the ID of the container that has it, or None if it is ours now."""
        link = self._names / name
        try:
            os.symlink(f"../{identity}", link)
        except FileExistsError:
            holder = os.path.basename(os.readlink(link))
            if holder == identity or (self.lives(holder) and not self.is_stale(link)):
                return holder
            link.unlink(missing_ok=True)
            return self._claim(name, identity)
        return None


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

"""The container records `containers/<id>/`: making, finding, renaming.

Rules:
1. `config.json` is written once, at creation, by rename; the later changes (state, the stack of uppers) are in their
   own files. A container exists if its `config.json` exists: a half-made one is a leftover that the next sweep removes
   (`rootlay.store.containers.removal`), and a removed one may stay for a frozen upper
   (`rootlay.store.containers.upperstack`).
2. Records are not synced to disk one by one (a container must start in milliseconds); a kill of the process loses
   nothing, a power failure may lose containers of the last seconds.
3. No process table is kept here: the kernel says whether a container runs (`rootlay.vfs.run.processes`).
4. On the path of every `rootlay run`: no heavy imports.
5. `containers/launched/` has an empty file `<id>-<token>` for each session, made after its launch file `launch-<token>`
   and before its first program, so that a list of running containers does not look into each container. A token is
   never used again: a process that finds a file without its session may remove it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from rootlay.store.containers.bloom import create_bloom, create_removed
from rootlay.store.containers.names import NAME_PATTERN, ContainerNames, check_name, random_name
from rootlay.store.containers.record import ContainerConfig, ContainerRecord, container_ids, read_record, read_state
from rootlay.store.containers.upperstack import UpperStack, write_stack
from rootlay.store.disk.durable import replace_file
from rootlay.store.model.errors import NameInUse, UnknownContainer
from rootlay.store.model.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rootlay.store.model.digest import Digest

LAUNCHED = "launched"


def note_session(containers: Path, identity: str, token: str) -> None:
    """Let lists find a session, by rule 5. Precondition: its launch file exists."""
    try:
        os.mknod(f"{containers}/{LAUNCHED}/{identity}-{token}", 0o600)
    except FileExistsError:
        return  # another process, whose session is the store's first, found this one by its search
    except FileNotFoundError:  # the store's first session, or its first since an older version: it is found by a search
        Containers(containers.parent).maybe_running()


def forget_session(containers: os.PathLike[str] | str, identity: str, token: str) -> None:
    """Take back `note_session`. Idempotent."""
    with contextlib.suppress(OSError):
        os.unlink(f"{os.fspath(containers)}/{LAUNCHED}/{identity}-{token}")


class Containers:
    """All containers of a store. Not thread safe by itself; safe between processes."""

    __slots__ = ("_names", "path")

    def __init__(self, root: Path) -> None:
        self.path = root / "containers"
        self._names = ContainerNames(self.path)

    def create(self, config: ContainerConfig, stack: UpperStack | None = None, *, kept: bool = True) -> ContainerRecord:
        """Make the directory, the empty upper and the record. An empty `config.id` or `.name` is chosen here.

        Args:
            stack: frozen uppers to use; the caller holds the reference lock.
            kept: whether the stack must survive a power failure.

        Raises:
            NameInUse: another container has the name. Nothing is left behind.
            BadContainerName: the name is not valid.
        """
        self._names.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        identity = config.id or os.urandom(32).hex()
        name = config.name or random_name()
        check_name(name)
        path = self.path / identity
        path.mkdir(mode=0o700)
        # Held until the record is there: another process that finds the name taken by a container without a record
        # learns from the lock whether that is being made, or its maker is dead.
        making = os.open(path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        record = ContainerRecord(replace(config, id=identity, name=""), path)
        try:
            fcntl.flock(making, fcntl.LOCK_EX)
            while (holder := self._names.claim(name, identity)) is not None:
                if config.name:
                    raise NameInUse(name, holder[:12])
                name = random_name()
            config = replace(config, id=identity, name=name, created_ns=config.created_ns or time.time_ns())
            record = ContainerRecord(config, path)
            if not config.upper:
                record.upper.mkdir(mode=0o755)
            create_bloom(path / "bloom", record.upper if config.upper else None)
            if not config.upper:  # another container may use that, too
                create_removed(path / "removed", self.path.parent, config.chain)
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
        from rootlay.store.disk.removetree import remove_tree

        if record.name:
            self._names.release(record.name)
        remove_tree(record.path)

    def find(self, reference: str) -> ContainerRecord:
        """Find by name, ID or unique ID prefix.

        Raises:
            UnknownContainer: no container fits.
            AmbiguousContainer: the prefix fits several.
        """
        if NAME_PATTERN.fullmatch(reference):
            record = self._read(self._names.holder(reference))
            if record is not None:
                return record
        if 0 < len(reference) <= 64 and not reference.strip("0123456789abcdef"):
            matching = map(self._read, (name for name in container_ids(self.path) if name.startswith(reference)))
            found = [record for record in matching if record is not None]
            if len(found) > 1:
                from rootlay.store.model.containererrors import AmbiguousContainer

                raise AmbiguousContainer(reference, tuple(record.id for record in found))
            if found:
                return found[0]
        raise UnknownContainer(reference)

    def iter_all(self) -> Iterator[ContainerRecord]:
        """Yield all containers, newest first."""
        return self.iter_of(container_ids(self.path))

    def iter_of(self, identities: Iterable[str]) -> Iterator[ContainerRecord]:
        """Yield the existing containers among these IDs, newest first."""
        records = [record for record in map(self._read, identities) if record is not None]
        yield from sorted(records, key=lambda record: -record.config.created_ns)

    def maybe_running(self) -> tuple[set[str], set[str]]:
        """Return the IDs of the containers in which programs may run here, and of those that may run on another
        machine.

        A session's launch file stays while a program runs; without one, only the state of a container may say that it
        was started elsewhere. Takes time by the number of sessions, but for the first call in a store of an older
        version: that looks into each container, and notes what it finds.
        """
        here: set[str] = set()
        elsewhere: set[str] = set()
        try:
            noted = os.listdir(self.path / LAUNCHED)
        except FileNotFoundError:
            noted = [name for identity in container_ids(self.path) for name in self._sessions(identity)]
            self._note_all(noted)
        for name in noted:
            identity, _, token = name.partition("-")
            if token and os.path.exists(f"{self.path}/{identity}/launch-{token}"):
                here.add(identity)
            elif self._is_elsewhere(identity):
                elsewhere.add(identity)
            else:
                forget_session(self.path, identity, token)
        return here, elsewhere - here

    def _sessions(self, identity: str) -> list[str]:
        """Return the names in `launched/` for a container, from its directory."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            names = os.listdir(f"{self.path}/{identity}")
            tokens = [name.removeprefix("launch-") for name in names if name.startswith("launch-")]
            if not tokens and "state.json" in names and self._is_elsewhere(identity):
                tokens.append("")
            return [f"{identity}-{token}" for token in tokens]
        return []

    def _is_elsewhere(self, identity: str) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return bool(read_state(f"{self.path}/{identity}").elsewhere)
        return False

    def _note_all(self, names: Iterable[str]) -> None:
        """Make `launched/` with these names, unless another process has done so or the store cannot be written."""
        made = self.path.parent / "tmp" / f"{LAUNCHED}-{os.getpid()}-{os.urandom(3).hex()}"
        with contextlib.suppress(OSError):
            made.parent.mkdir(mode=0o700, exist_ok=True)
            os.mkdir(made, 0o700)
            for name in names:
                os.mknod(made / name, 0o600)
            os.rename(made, self.path / LAUNCHED)
            return
        from rootlay.store.disk.removetree import remove_tree

        remove_tree(made)

    def rename(self, record: ContainerRecord, name: str) -> ContainerRecord:
        """Give a container another name.

        Raises:
            NameInUse, BadContainerName: as for create; the old name stays.
        """
        check_name(name)
        holder = self._names.claim(name, record.id)
        unfinished = holder == record.id and record.name != name  # a rename was killed after its first step
        if holder is not None and not unfinished:
            raise NameInUse(name, holder[:12])
        renamed = ContainerRecord(replace(record.config, name=name), record.path)
        replace_file(record.path / "config.json", json.dumps(renamed.config.to_json()).encode(), durable=True)
        self._names.release(record.name)
        renamed.note("rename", oldName=f"/{record.name}")
        return renamed

    def needed(self, without: Collection[str] = ()) -> set[Digest]:
        """Return the diff IDs and chain IDs that containers still need, except those with the IDs `without`."""
        from rootlay.store.model.digest import Digest

        found: set[Digest] = set()
        for record in self.iter_all():
            if record.id in without:
                continue
            found.update(map(Digest.parse, record.config.layers))
            if record.config.chain:
                found.add(Digest.parse(record.config.chain))
        return found

    def _read(self, identity: str) -> ContainerRecord | None:
        return read_record(self.path / identity) if identity else None

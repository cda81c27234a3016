"""Volumes: `volumes/<name>/_data`, with the record `volume.json` next to it (docs/format.md §13).

Rules:
1. A volume exists if its record does; the record is written once, by rename, after `_data` is there. A directory
   without a record was left by a kill: the next `create` of that name finishes it.
2. Containers name their volumes in their records: there is no counter. A process that makes a container holds
   `volumes/lock` shared until the record is there; a process that removes volumes holds it exclusively.
3. A removed volume is renamed into the store's trash first.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rootlay.store.containers.containers import Containers
from rootlay.store.containers.record import ContainerRecord
from rootlay.store.disk.durable import make_directories, replace_file
from rootlay.store.disk.eventlog import append_event
from rootlay.store.disk.lock import UseLock
from rootlay.store.disk.smallfile import read_small
from rootlay.store.model.errors import RootlayError
from rootlay.store.model.value import field, fields, value
from rootlay.store.volumes.owners import begin_records

RECORD = "volume.json"
DATA = "_data"
ANONYMOUS_LABEL = "com.docker.volume.anonymous"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


class BadVolumeName(RootlayError):
    """A name that is not valid for a volume."""

    exit_code = 70

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} includes invalid characters for a volume name: two or more letters, digits, '_', '.' and '-', "
            "a letter or digit first; for a directory of the host give a path with a slash"
        )
        self.name = name


class UnknownVolume(RootlayError):
    """No volume has this name."""

    exit_code = 71

    def __init__(self, name: str) -> None:
        super().__init__(f"no such volume: {name}")
        self.name = name


class VolumeInUse(RootlayError):
    """Containers use the volume."""

    exit_code = 72

    def __init__(self, name: str, containers: tuple[str, ...]) -> None:
        super().__init__(f"volume {name} is in use: remove {', '.join(c[:12] for c in containers)} first")
        self.name = name
        self.containers = containers


@value
class Volume:
    """A volume. `path` is the host's directory with its files; `created_ns` is in ns since the epoch."""

    name: str
    path: Path
    created_ns: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_anonymous(self) -> bool:
        return ANONYMOUS_LABEL in self.labels


class Volumes:
    """All volumes of a store. Safe between processes."""

    __slots__ = ("path",)

    def __init__(self, root: Path) -> None:
        self.path = root / "volumes"

    def using(self) -> UseLock:
        """Return the lock that keeps all volumes while a container that uses them is made (rule 2)."""
        make_directories(self.path)
        return UseLock(self.path / "lock", remover=False)

    def create(
        self, name: str = "", labels: Mapping[str, str] | None = None, options: Mapping[str, str] | None = None
    ) -> Volume:
        """Make a volume, or return the one that has the name already. Without a name it is anonymous.

        Raises:
            BadVolumeName: the name is not valid.
        """
        if name and not _NAME.fullmatch(name):
            raise BadVolumeName(name)
        labels = dict(labels or {})
        if not name:
            name, labels[ANONYMOUS_LABEL] = os.urandom(32).hex(), ""
        with contextlib.suppress(UnknownVolume):
            return self.find(name)
        place = self.path / name
        make_directories(place)
        with contextlib.suppress(FileExistsError):
            (place / DATA).mkdir(mode=0o755)
            (place / DATA).chmod(0o755)
            begin_records(place / DATA)
        record = {"version": 1, "created_ns": time.time_ns(), "labels": labels, "options": dict(options or {})}
        replace_file(place / RECORD, json.dumps(record).encode())
        append_event(self.path.parent, "volume", "create", name, {"driver": "local"})
        return self.find(name)

    def find(self, name: str) -> Volume:
        """Return a volume by its name. Raises UnknownVolume."""
        if _NAME.fullmatch(name):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                data: dict[str, Any] = json.loads(read_small(f"{self.path}/{name}/{RECORD}"))
                known = {member: data[member] for member in fields(Volume) if member in data}
                device = data.get("options", {}).get("device")  # a volume that stands for a directory of the host
                path = Path(device) if device else self.path / name / DATA
                return Volume(**{**known, "name": name, "path": path})
        raise UnknownVolume(name)

    def iter_all(self) -> Iterator[Volume]:
        """Yield all volumes, by name."""
        with contextlib.suppress(FileNotFoundError):
            for name in sorted(os.listdir(self.path)):
                with contextlib.suppress(UnknownVolume):
                    yield self.find(name)

    def users(self) -> dict[str, list[ContainerRecord]]:
        """Return the containers that use each volume, by its name."""
        found: dict[str, list[ContainerRecord]] = {}
        for record in Containers(self.path.parent).iter_all():
            for name in volume_names(record):
                found.setdefault(name, []).append(record)
        return found

    def remove(self, name: str) -> Path:
        """Move a volume to the trash. Returns the trash's path, for rootlay.store.disk.removetree.remove_tree.

        Raises:
            UnknownVolume, VolumeInUse: nothing was removed.
        """
        self.find(name)
        with UseLock(self.path / "lock", remover=True):
            using = self.users().get(name, [])
            if using:
                raise VolumeInUse(name, tuple(record.id for record in using))
            return self._to_trash(name)

    def remove_unused(self, names: tuple[str, ...]) -> list[Path]:
        """Move those of the volumes that no container uses to the trash. Returns the paths, as `remove`."""
        if not names:
            return []
        with UseLock(self.path / "lock", remover=True):
            users = self.users()
            found = []
            for name in names:
                with contextlib.suppress(UnknownVolume):
                    if name not in users:
                        self.find(name)
                        found.append(self._to_trash(name))
            return found

    def _to_trash(self, name: str) -> Path:
        trash = self.path.parent / "tmp" / f"removed-{os.getpid()}-{os.urandom(4).hex()}"
        make_directories(trash.parent)
        (self.path / name).rename(trash)
        append_event(self.path.parent, "volume", "destroy", name, {"driver": "local"})
        return trash


def volume_names(record: ContainerRecord, *, anonymous: bool = False) -> tuple[str, ...]:
    """Return the names of the volumes of a container; with `anonymous` only of those made for it alone."""
    binds = record.config.binds
    return tuple(bind.source for bind in binds if bind.kind == "volume" and (bind.anonymous or not anonymous))

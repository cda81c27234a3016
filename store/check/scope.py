"""The input of a check."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from rootlay.store.check.finding import Finding
from rootlay.store.containers.record import ContainerConfig, ContainerRecord, is_container_id
from rootlay.store.layout.catalog import Catalog
from rootlay.store.layout.layout import Layout
from rootlay.store.model.errors import BadManifest, RootlayError, printable
from rootlay.store.model.image import Image
from rootlay.store.model.jsonfield import parse_object
from rootlay.store.model.progress import Counted, Progress, silent
from rootlay.store.model.value import field, value
from rootlay.store.store import ImageStore

T = TypeVar("T")


@value
class Scope:
    """A store, which may be damaged in any way. `deep`: read every byte.

    `distrusted` are the layers (hex of the diff ID) whose indexes are damaged: nothing is compared with them. `counts`
    is the number of checked objects of each kind; `progress` receives it during the check.
    """

    store: ImageStore
    deep: bool = False
    distrusted: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)
    progress: Progress = silent
    records: dict[str, tuple[tuple[int, int, int], ContainerRecord]] = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        """The store's directories."""
        return self.store.layout

    def place(self, path: Path) -> str:
        """Return a path as findings name it."""
        return printable(os.fsencode(path.relative_to(self.layout.root)))

    def images(self) -> Iterator[Image]:
        """Yield the images that can be read."""
        with suppress(RootlayError):
            catalog = Catalog(self.layout)
            for entry in catalog.index.manifests:
                with suppress(RootlayError):
                    for member in catalog.members(entry):
                        with suppress(RootlayError):
                            yield catalog.read(entry, member if member is not entry else None)

    def containers(self) -> Iterator[ContainerRecord]:
        """Yield the containers whose records can be read, by ID."""
        for name in sorted(os.listdir(self.layout.containers)):
            if is_container_id(name):
                with suppress(OSError, RootlayError):
                    yield self.container(name)

    def container(self, identity: str) -> ContainerRecord:
        """Return the record of a container, parsed once while its file is unchanged. Raises OSError, BadManifest."""
        status = os.stat(f"{self.layout.containers}/{identity}/config.json")
        key = (status.st_ino, status.st_size, status.st_mtime_ns)
        known = self.records.get(identity)
        if known is None or known[0] != key:
            known = self.records[identity] = key, read_container(self.layout.containers / identity)
        return known[1]

    def counted(self, kind: str, things: Sequence[T]) -> Iterator[T]:
        """Yield the same objects and report how many have been checked. `kind` is their name in the plural."""
        for done, thing in enumerate(things):
            self.progress(done, len(things), Counted(kind))
            self.counts[kind] = done + 1
            yield thing


def read_container(path: Path) -> ContainerRecord:
    """Return the record of a container's directory. Raises OSError, BadManifest."""
    what = str(path / "config.json")
    data = parse_object((path / "config.json").read_bytes(), what)
    try:
        return ContainerRecord(ContainerConfig.from_json(dict(data)), path)
    except (TypeError, ValueError, AttributeError) as error:
        raise BadManifest(what, str(error)) from error


def process_lives(pid: int) -> bool:
    """Return whether there is a process of that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


Check = Callable[[Scope], Iterator[Finding]]

"""What a check looks at."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from rootlay.store.catalog import Catalog
from rootlay.store.check.finding import Finding
from rootlay.store.containerrecord import ContainerConfig, ContainerRecord
from rootlay.store.errors import BadManifest, StoreError, printable
from rootlay.store.image import Image
from rootlay.store.jsonfield import parse_object
from rootlay.store.layout import Layout
from rootlay.store.store import Store
from rootlay.store.value import field, value


@value
class Scope:
    """A store, which may be damaged in any way. `deep`: read every byte, too.

    `distrusted` are the layers (hex of the diff ID) whose indexes are damaged: nothing is compared with them.
    """

    store: Store
    deep: bool = False
    distrusted: set[str] = field(default_factory=set)

    @property
    def layout(self) -> Layout:
        """The store's directories."""
        return self.store.layout

    def place(self, path: Path) -> str:
        """A path as findings name it."""
        return printable(os.fsencode(path.relative_to(self.layout.root)))

    def images(self) -> Iterator[Image]:
        """The images that can be read."""
        with suppress(StoreError):
            catalog = Catalog(self.layout)
            for entry in catalog.index.manifests:
                with suppress(StoreError):
                    for member in catalog.members(entry):
                        with suppress(StoreError):
                            yield catalog.read(entry, member if member is not entry else None)

    def containers(self) -> Iterator[ContainerRecord]:
        """The containers whose records can be read, by ID."""
        for path in sorted(self.layout.containers.glob("*/config.json")):
            with suppress(OSError, StoreError):
                yield read_container(path.parent)


def read_container(path: Path) -> ContainerRecord:
    """The record of a container's directory. Raises OSError, BadManifest."""
    what = str(path / "config.json")
    data = parse_object((path / "config.json").read_bytes(), what)
    try:
        return ContainerRecord(ContainerConfig.from_json(dict(data)), path)
    except (TypeError, ValueError, AttributeError) as error:
        raise BadManifest(what, str(error)) from error


def process_lives(pid: int) -> bool:
    """Whether there is a process of that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


Check = Callable[[Scope], Iterator[Finding]]

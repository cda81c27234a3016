"""The layers of a container, from its record: directory layers over the view of its image."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rootlay.store.containers.record import ContainerRecord
from rootlay.store.model.errors import UnknownContainer

if TYPE_CHECKING:
    from rootlay.store.containers.upperstack import FrozenUpper
    from rootlay.vfs.merge.stack import DirLayer, Stack
    from rootlay.vfs.overlay.overlay import Overlay

SMALL_FILE_BYTES = 4 << 20


def open_overlay(record: ContainerRecord) -> Overlay:
    """Open the overlay of a container: its upper, its directory lowers, and the view of its image.

    Raises:
        UnknownContainer: it was removed.
        CorruptStore: a view or layer is damaged.
    """
    from rootlay.vfs.overlay.overlay import Overlay

    require_container(record)
    return Overlay(open_stack(record.root, directory_layers(record), record.config.chain, record.lock), owned=True)


def require_container(record: ContainerRecord) -> None:
    """Raise UnknownContainer for a container that was removed since its record was read."""
    if not (record.path / "config.json").exists():
        raise UnknownContainer(record.name)


@contextlib.contextmanager
def not_removed(record: ContainerRecord) -> Iterator[None]:
    """Read a container as a whole. A removal that begins meanwhile would leave out files without an error.

    Raises:
        UnknownContainer: it was removed before the end.
    """
    try:
        yield
    except OSError:
        require_container(record)
        raise
    require_container(record)  # a removal makes this fail before it touches the files


def open_stack(root: Path, dirs: tuple[DirLayer, ...], chain: str, lock: Path | None = None) -> Stack:
    """Open directory layers, top first, over the view of a chain ID (empty: none).

    Raises:
        CorruptStore: the view is damaged.
    """
    from rootlay.vfs.merge.stack import Ownership, Stack

    view = hydrator = None
    if chain:
        from rootlay.store.store import open_lower

        view, hydrator = open_lower(root, chain)
    return Stack(dirs, view, hydrator, Ownership(os.geteuid(), os.getegid()), lock)


def directory_layers(record: ContainerRecord) -> tuple[DirLayer, ...]:
    """Return the layers over the view of a container: its upper, the frozen ones, its directory lowers."""
    from rootlay.vfs.merge.stack import DirLayer

    stack = record.stack()
    upper = DirLayer.at(
        os.path.realpath(record.upper_of(stack)),
        writable=True,
        bloom=record.bloom_of(stack),
    )
    return (upper, *frozen_layers(record, stack.frozen), *lower_layers(record))


def frozen_layers(record: ContainerRecord, frozen: Sequence[FrozenUpper]) -> list[DirLayer]:
    """Return frozen uppers as layers, top first."""
    from rootlay.vfs.merge.stack import DirLayer

    containers = Path(record.real_path).parent
    return [DirLayer.at(upper.upper(containers), marks=True, bloom=upper.bloom(containers)) for upper in frozen]


def lower_layers(record: ContainerRecord) -> list[DirLayer]:
    """Return the host directories that a container was created with as layers, top first."""
    from rootlay.vfs.merge.stack import DirLayer

    return [DirLayer.at(path or "/", marks=bool(path)) for path in reversed(record.config.lowers)]


def read_small_file(overlay: Overlay, path: bytes) -> bytes | None:
    """Return the content of a small file inside, without hydrating it; None if it does not exist."""
    try:
        with overlay.open_content(path) as file:
            return file.read(SMALL_FILE_BYTES)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None

"""The layers of a container, from its record: directory layers over the view of its image."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rootlay.store.containers.bloom import HEADER_BYTES, REMOVALS_OFFSET, boot_of, has_removals, removed_beside
from rootlay.store.containers.record import ContainerRecord
from rootlay.store.disk.bootid import boot_id
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
    require_container(record)
    if _check_after_boot(record):
        settle_removals(record)
    return _open_checked(record)


def _open_checked(record: ContainerRecord) -> Overlay:
    from rootlay.vfs.overlay.overlay import Overlay

    return Overlay(open_stack(record.root, directory_layers(record), record.config.chain, record.lock), owned=True)


def settle_removals(record: ContainerRecord, *, held: bool = False, durable: bool = False) -> None:
    """Make whiteouts of the removals in a container that its programs have only noted so far (docs/format.md §7a).

    What opens the container's overlay need not call it.

    Args:
        held: the caller holds the upper's lock.
        durable: the map will not be read any more: sync these whiteouts, and those that were made earlier.

    Raises:
        OSError: the upper cannot be changed.
    """
    _check_after_boot(record)
    with contextlib.suppress(FileNotFoundError):
        bloom = record.bloom_of(record.stack())
        fd = os.open(bloom, os.O_RDONLY | os.O_CLOEXEC)
        try:
            header = os.pread(fd, HEADER_BYTES, 0)
        finally:
            os.close(fd)
        waits = header[REMOVALS_OFFSET : REMOVALS_OFFSET + 4] != header[REMOVALS_OFFSET + 4 : REMOVALS_OFFSET + 8]
        if waits or (durable and has_removals(removed_beside(bloom))):
            _settle(record, held, durable)


def _settle(record: ContainerRecord, held: bool, durable: bool) -> None:
    require_container(record)
    with _open_checked(record) as overlay:
        overlay.context.upper.settle(held=held)
        if durable:
            from rootlay.vfs.overlay.writethrough import sync_removals

            sync_removals(overlay.stack, overlay.context.upper)


def _check_after_boot(record: ContainerRecord) -> bool:
    """Check the filters of a container's uppers once after a boot, as its first session does. Return whether removals
    may wait to be written through again. What cannot be written stays as it is, and so does what another machine
    uses."""
    stack = record.stack()
    containers = Path(record.real_path).parent
    frozen = ((below.upper(containers), below.bloom(containers)) for below in stack.frozen)
    filters = ((record.upper_of(stack), record.bloom_of(stack)), *frozen)
    boot = boot_id()
    unchecked = [place for place in filters if boot and boot_of(place[1])[0] != boot]
    if not unchecked or record.state().elsewhere:
        return False
    from rootlay.vfs.overlay.bloomrepair import repair_bloom

    try:
        for upper, bloom in unchecked:
            repair_bloom(upper, bloom, boot)
    except OSError as error:  # ENOENT: it is being removed, or an upper is missing, which is the reader's to say
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT):
            raise
        return False
    return True


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

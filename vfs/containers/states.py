"""States of a file system that can be compared: of an image, a snapshot, a container."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from rootlay.store.containers.containers import Containers
from rootlay.store.containers.record import ContainerRecord
from rootlay.store.containers.upperstack import Snapshot
from rootlay.store.model.errors import UnknownContainer
from rootlay.store.model.image import Image
from rootlay.store.model.value import value
from rootlay.store.store import ImageStore
from rootlay.vfs.changes.change import Change
from rootlay.vfs.changes.changes import Changes
from rootlay.vfs.changes.compare import compare
from rootlay.vfs.containers.imageview import open_image
from rootlay.vfs.containers.snapshots import find_snapshot
from rootlay.vfs.merge.stack import DirLayer, Stack
from rootlay.vfs.overlay.containerstack import frozen_layers, lower_layers, not_removed, open_overlay, open_stack
from rootlay.vfs.overlay.overlay import Overlay


@value
class State:
    """One side of a diff: a container as it is, a snapshot of it, or the image that it was made from (`base`)."""

    record: ContainerRecord
    snapshot: Snapshot | None = None
    base: bool = False


Compared = State | Image | Callable[[], Overlay]
"""States that can be compared; a call opens those that the store does not know (a bundle, the machine's root)."""


@contextlib.contextmanager
def open_state(root: Path, state: Compared) -> Iterator[Overlay]:
    """Open a state as a file system; read-only except for the current state of a container.

    Raises:
        CorruptStore: a view or layer is damaged.
        UnknownContainer: the container was removed meanwhile.
    """
    if not isinstance(state, State):
        with open_image(root, state) if isinstance(state, Image) else state() as overlay:
            yield overlay
        return
    if state.snapshot is None and not state.base:
        with not_removed(state.record), open_overlay(state.record) as overlay:
            yield overlay
        return
    record = state.record
    frozen = frozen_layers(record, state.snapshot.frozen) if state.snapshot is not None else []
    dirs = (*frozen, *lower_layers(record))
    if not dirs and not record.config.chain:
        yield from _empty()
        return
    with Overlay(open_stack(record.root, dirs, record.config.chain), owned=True) as overlay:
        yield overlay


def find_state(root: Path, reference: str) -> State | Image:
    """Return the state CONTAINER, CONTAINER@SNAPSHOT or IMAGE, tried in this order.

    Raises:
        UnknownImage, UnknownSnapshot: it does not exist.
    """
    name, _, snapshot = reference.partition("@")
    try:
        record = Containers(root).find(name)
    except UnknownContainer:
        return ImageStore.open(root).image(reference)
    return State(record, find_snapshot(record, snapshot) if snapshot else None)


def diff_states(root: Path, before: Compared, after: Compared) -> Changes:
    """Return the changes from one state to another: see rootlay.vfs.changes.compare."""
    with open_state(root, before) as one, open_state(root, after) as other:
        return Changes(compare(one, other), lambda: open_state(root, before), lambda: open_state(root, after))


def iter_diff(root: Path, before: Compared, after: Compared) -> Iterator[Change]:
    """Yield the changes from one state to another one by one; until the last one the states are in use."""
    with open_state(root, before) as one, open_state(root, after) as other:
        yield from compare(one, other)


def _empty() -> Iterator[Overlay]:
    """Return the state below a container without a base."""
    import tempfile

    with tempfile.TemporaryDirectory() as nothing, Overlay(Stack((DirLayer.at(nothing),))) as overlay:
        yield overlay

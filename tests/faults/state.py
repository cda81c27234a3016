"""The content of a store as plain data: images and containers by name, each with the digest of its tree."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from rootlay.store.containers.containers import Containers
from rootlay.store.containers.upperstack import iter_snapshots
from rootlay.store.store import ImageStore
from rootlay.vfs.containers.imageview import open_image
from rootlay.vfs.containers.states import State, open_state
from rootlay.vfs.overlay.overlay import Overlay
from tests.support.oracles.oracle import shape_of_overlay

View = dict[str, str]


def state_of(root: Path) -> View:
    """Return the digest of each `image NAME`, `container NAME` and `snapshot CONTAINER@NAME`. All content is read."""
    found: View = {}
    store = ImageStore.open(root)
    for image in store.images():
        if image.reference is not None:
            with open_image(root, store.image(str(image.reference))) as overlay:
                found[f"image {image.reference}"] = digest_of(overlay)
    for record in Containers(root).iter_all():
        with open_state(root, State(record)) as overlay:
            found[f"container {record.name}"] = digest_of(overlay)
        for snapshot in iter_snapshots(record.path):
            with open_state(root, State(record, snapshot)) as overlay:
                found[f"snapshot {record.name}@{snapshot.name}"] = digest_of(overlay)
    return found


def digest_of(overlay: Overlay) -> str:
    """Return the digest of names, types, modes, content and hard links."""
    whole = hashlib.sha256()
    for path, shape in sorted(shape_of_overlay(overlay).items()):
        whole.update(repr((path, shape.mode, shape.nlink, shape.size, shape.group)).encode())
        whole.update(shape.content)
    return whole.hexdigest()[:16]


def differences(found: View, before: View, after: View, *, steps: bool = False) -> list[str]:
    """Return the objects that are in neither the old nor the new state; `steps`: a container may be in between.

    A new container is allowed: an interrupted `build` or `run --rm` leaves it until `prune`.
    """
    wrong = []
    for name in sorted(found.keys() | before.keys() | after.keys()):
        allowed = {side.get(name) for side in (before, after)}
        if allowed == {None} and name.startswith("container "):
            continue
        in_between = steps and name.startswith("container ") and name in found
        if found.get(name) not in allowed and not in_between:
            wrong.append(f"{name}: {found.get(name, 'gone')} is none of {allowed}")
    return wrong


def as_rows(text: str) -> list[dict[str, Any]]:
    """Return the findings of `fsck --json` that are damage."""
    import json

    return [row for row in json.loads(text)["findings"] if row["damage"]]

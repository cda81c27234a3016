"""File systems of images that are being built, for reading: what lies at a COPY's target, who is in /etc/passwd.

Rules:
1. Opening one costs as much as the layers above the nearest ready view have names that are asked for; a base image
   without a view gets one, which running it needs anyway.
2. One overlay a chain, shared by all steps and threads; `close` closes them all.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from rootlay.store.model.digest import Digest, chain_id
from rootlay.store.store import ImageStore, open_lower
from rootlay.store.view.build import build_view, view_path
from rootlay.vfs.build.context.layered import LayeredView
from rootlay.vfs.merge.stack import Ownership, Stack
from rootlay.vfs.overlay.overlay import Overlay

LAYERED_MAX = 40
"""More layers than these above a view are not asked one by one: then a view is made. Each takes two descriptors."""


class Trees:
    """Read-only overlays by chain ID."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store
        self._open: dict[tuple[Digest, ...], Overlay] = {}
        self._lock = threading.Lock()

    def open(self, diff_ids: Sequence[Digest]) -> Overlay:
        """The merged tree of layers, base first; stays this object's to close. Raises CorruptStore."""
        key = tuple(diff_ids)
        with self._lock:
            if key not in self._open:
                self._open[key] = self._make(key)
            return self._open[key]

    def _make(self, diff_ids: tuple[Digest, ...]) -> Overlay:
        ready = self._ready(diff_ids)
        if len(diff_ids) - ready > LAYERED_MAX:
            build_view(self._store, diff_ids)
            ready = len(diff_ids)
        base = content = None
        if ready:
            base, content = open_lower(self._store.root, str(chain_id(diff_ids[:ready])))
        layers = [self._store.layer(diff_id) for diff_id in diff_ids[ready:]]
        merged = LayeredView(base, content, layers)
        return Overlay(Stack((), merged, merged, Ownership(0, 0)), owned=True)

    def _ready(self, diff_ids: tuple[Digest, ...]) -> int:
        """How many of the lowest layers have a view."""
        for count in range(len(diff_ids), 0, -1):
            path = view_path(self._store.root, chain_id(diff_ids[:count]))
            if path.exists() and path.with_suffix(".view").exists():
                return count
        return 0

    def close(self) -> None:
        """Close all. Idempotent."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()

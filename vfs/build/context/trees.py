"""Read-only file systems of images that are being built: for targets of COPY, and for users in /etc/passwd.

Rules:
1. The time to open one depends on the requested names in the layers above the nearest ready view. A base image without
   a view gets one, which running it needs anyway.
2. There is one overlay per chain, shared by all steps and threads; `close` closes them all.
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
"""Maximum number of layers above a view; with more of them a view is made. Each takes two descriptors."""


class Trees:
    """Read-only overlays by chain ID."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store
        self._open: dict[tuple[Digest, ...], Overlay] = {}
        self._lock = threading.Lock()

    def open(self, diff_ids: Sequence[Digest]) -> Overlay:
        """Open the merged tree of layers, base first. This object closes it. Raises CorruptStore."""
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
        """Return how many of the lowest layers have a view."""
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

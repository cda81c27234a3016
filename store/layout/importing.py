"""The state of the import of one image."""

from __future__ import annotations

from pathlib import Path

from rootlay.store.disk.lease import Lease
from rootlay.store.model.limits import Budget


class Import:
    """The import of one image: its budget, its needs from the store, and the objects that it has published so far."""

    __slots__ = ("budget", "lease", "published")

    def __init__(self, budget: Budget, lease: Lease) -> None:
        self.budget = budget
        self.lease = lease
        self.published: list[Path] = []

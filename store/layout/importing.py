"""One image on its way into the store."""

from __future__ import annotations

from pathlib import Path

from rootlay.store.disk.lease import Lease
from rootlay.store.model.limits import Budget


class Import:
    """One image on its way in: its budget, what it needs of the store, and what has been published of it so far."""

    __slots__ = ("budget", "lease", "published")

    def __init__(self, budget: Budget, lease: Lease) -> None:
        self.budget = budget
        self.lease = lease
        self.published: list[Path] = []

"""What must stay in a store besides its images: what containers stand on, and what the build cache remembers."""

from __future__ import annotations

from rootlay.store.container import Containers
from rootlay.store.digest import Digest
from rootlay.store.store import Store
from rootlay.vfs.build.cache import StepCache


def needed(store: Store) -> set[Digest]:
    """Diff IDs and chain IDs, for `Store.remove` and `Store.prune`."""
    return Containers(store.root).needed() | StepCache(store).needed()

"""What must stay in a store besides its images: what containers stand on, and what the build cache remembers."""

from __future__ import annotations

from collections.abc import Collection

from rootlay.store.containers.containers import Containers
from rootlay.store.containers.record import ContainerRecord
from rootlay.store.model.digest import Digest
from rootlay.store.store import ImageStore
from rootlay.vfs.build.cache.cache import StepCache


def needed(
    store: ImageStore, without: Collection[ContainerRecord] = (), without_steps: Collection[str] = ()
) -> set[Digest]:
    """Diff IDs and chain IDs, for `ImageStore.remove` and `ImageStore.prune`.

    Args:
        without: containers that do not count.
        without_steps: keys of the build cache that do not count.
    """
    steps = StepCache(store).iter_records()
    cached = {found.layer.diff_id for path, _, found in steps if path.stem not in without_steps}
    return Containers(store.root).needed({record.id for record in without}) | cached

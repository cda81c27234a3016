"""Objects that must stay in a store in addition to its images: those of containers and of the build cache."""

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
    """Return diff IDs and chain IDs, for `ImageStore.remove` and `ImageStore.prune`.

    Args:
        without: containers to ignore.
        without_steps: keys of the build cache to ignore.
    """
    steps = StepCache(store).iter_records()
    cached = {found.layer.diff_id for path, _, found in steps if path.stem not in without_steps}
    return Containers(store.root).needed({record.id for record in without}) | cached

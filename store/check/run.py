"""Going through all checks, and repairing on the way.

Rules:
1. A check sees the store as the repairs before it left it.
2. Lock order: the use lock (shared while looking, exclusively while repairing: nobody takes a new lease), then what the
   repairs take: `index`, a view's. A layer's lock stands before it, so no repair takes one: what an importer that is
   half-way publishes as well is the same, and atomic. Containers may run meanwhile.
3. Without repairs it writes nothing: it works on a disk that has become read-only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from rootlay.store.check.blobs import check_blobs, check_images
from rootlay.store.check.containers import check_containers
from rootlay.store.check.finding import Finding, Outcome, Quarantine
from rootlay.store.check.layers import check_layers
from rootlay.store.check.lazylayers import check_lazy_layers
from rootlay.store.check.scope import Check, Scope, Tell, unheard
from rootlay.store.check.structure import check_structure
from rootlay.store.check.trees import check_trees
from rootlay.store.check.views import check_views
from rootlay.store.layout.layout import Layout
from rootlay.store.model.errors import RootlayError
from rootlay.store.store import ImageStore

CHECKS: tuple[Check, ...] = (
    check_structure,
    check_blobs,
    check_images,
    check_lazy_layers,
    check_layers,
    check_views,
    check_trees,
    check_containers,
)


def check_store(
    root: Path,
    *,
    deep: bool = False,
    repair: bool = False,
    more: Sequence[Check] = (),
    tell: Tell = unheard,
    counts: dict[str, int] | None = None,
) -> Iterator[Outcome]:
    """Check the store at `root`, and repair what is found if asked to.

    Args:
        deep: read all content, too; otherwise only what is quick: documents, sizes, structure.
        more: checks that know what the store does not (`rootlay.vfs.containers.check`).
        tell: hears how far it is.
        counts: is filled with how many things of each kind have been looked at.

    Raises RootlayError (there is no store), StoreNotWritable.
    """
    layout = Layout(root.absolute())
    if not layout.blobs.is_dir():
        raise RootlayError(f"no store at {root}")
    if repair or os.access(layout.root, os.W_OK):
        layout.make_directories()
    scope = Scope(ImageStore(layout), deep, tell=tell, counts={} if counts is None else counts)
    quarantine = Quarantine(layout)
    with layout.remove_lock() if repair else layout.use():
        scope.store.sweep()
        for check in (*CHECKS, *more):
            for finding in check(scope):
                yield _repaired(finding, quarantine) if repair else Outcome(finding, "found")


def _repaired(finding: Finding, quarantine: Quarantine) -> Outcome:
    if finding.fix is None:
        return Outcome(finding, "left")
    try:
        return Outcome(finding, finding.fix(quarantine))
    except (RootlayError, OSError) as error:
        return Outcome(finding, "left", str(error))

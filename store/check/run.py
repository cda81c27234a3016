"""Run all checks, and repair their findings.

Rules:
1. Each check sees the store after the repairs of the checks before it.
2. Lock order: the use lock (shared for checks, exclusive for repairs: no process takes a new lease), then the locks of
   the repairs: `index`, a view's. A layer's lock precedes it, so no repair takes one: an importer that publishes the
   same layer in the meantime publishes the same content, atomically. Containers may run meanwhile.
3. Without repairs it writes nothing: it works on a disk that became read-only.
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
from rootlay.store.check.scope import Check, Scope
from rootlay.store.check.structure import check_structure
from rootlay.store.check.trees import check_trees
from rootlay.store.check.views import check_views
from rootlay.store.layout.layout import Layout
from rootlay.store.model.errors import RootlayError
from rootlay.store.model.progress import Progress, silent
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
    progress: Progress = silent,
    counts: dict[str, int] | None = None,
) -> Iterator[Outcome]:
    """Check the store at `root`, and repair the findings if requested.

    Args:
        deep: read all content; otherwise only documents, sizes and structure, which is quick.
        more: checks that need knowledge outside the store (`rootlay.vfs.containers.check`).
        progress: receives the number of checked objects of each kind, again and again.
        counts: receives the number of checked objects of each kind.

    Raises RootlayError (there is no store), StoreNotWritable.
    """
    layout = Layout(root.absolute())
    if not layout.blobs.is_dir():
        raise RootlayError(f"there is no store at {root}: choose one with --root")
    if repair or os.access(layout.root, os.W_OK):
        layout.make_directories()
    scope = Scope(ImageStore(layout), deep, progress=progress, counts={} if counts is None else counts)
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

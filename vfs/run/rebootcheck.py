"""What nobody syncs is looked at once after each start of the machine, before programs use it (docs/format.md §3, §7).

A power failure may leave a hydrated file short, and a filter that denies what is there: the engine takes both at their
word. On the path of every `rootlay run`: where all has been looked at, this reads two small files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from rootlay.store.containers.bloom import boot_of
from rootlay.store.disk.bootid import SUFFIX, boot_id, is_checked, mark_checked
from rootlay.store.model.value import value


@value
class NativeViewPlace:
    """Where a native view is: a file, and offset and length in it, bytes; 0 for the whole file."""

    path: bytes
    offset: int = 0
    length: int = 0


def check_trees(views: Path, chain_hex: str, view: NativeViewPlace, trees: Sequence[Path]) -> None:
    """Remove the hydrated files of a stack that are cut short, unless they were looked at since the machine started.

    Args:
        views: the store's directory of that name.
        trees: of the stack's layers, base first.

    Raises:
        OSError: one cannot be removed.
    """
    boot, mark = boot_id(), f"{views}/{chain_hex}{SUFFIX}"
    if not boot or is_checked(mark, boot):
        return
    from rootlay.store.hydrate.repair import repair_trees
    from rootlay.store.model.errors import CorruptStore
    from rootlay.store.view.native import open_native_at

    with suppress(CorruptStore):  # whoever uses it will tell
        native = open_native_at(Path(os.fsdecode(view.path)), view.offset, view.length)
        try:
            repair_trees(native, trees)
        finally:
            native.close()
        mark_checked(mark, boot)


def check_filters(filters: Iterable[tuple[Path, Path]]) -> None:
    """Have each upper's filter know what is in it, unless it was looked at since the machine started; and have it have
    its blocks, so that no program needs any of the disk to set a bit.

    Args:
        filters: uppers and their filters.

    Raises:
        OSError: an upper cannot be read, or a filter not be written.
    """
    boot = boot_id()
    for upper, bloom in filters:
        looked_at, has_blocks = boot_of(bloom)
        if looked_at != boot and boot:
            from rootlay.vfs.overlay.bloomrepair import repair_bloom

            repair_bloom(upper, bloom, boot)
        elif not has_blocks and looked_at:
            from rootlay.vfs.merge.bloom import Bloom

            Bloom(bloom).close()

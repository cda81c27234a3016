"""Checks of unsynced files, once after each boot, before programs use them (docs/format.md §3, §7).

A power failure may truncate a hydrated file, and may leave a filter without the bits of existing files: the engine
trusts both. This code runs at every `rootlay run`: after the first check it reads two small files.
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
    """The place of a native view: a file, and offset and length in it, bytes; 0 for the whole file."""

    path: bytes
    offset: int = 0
    length: int = 0


def check_trees(views: Path, chain_hex: str, view: NativeViewPlace, trees: Sequence[Path]) -> None:
    """Remove the truncated hydrated files of a stack, unless they were checked since this boot.

    Args:
        views: the store's directory of that name.
        trees: those of the stack's layers, base first.

    Raises:
        OSError: a file cannot be removed.
    """
    boot, mark = boot_id(), f"{views}/{chain_hex}{SUFFIX}"
    if not boot or is_checked(mark, boot):
        return
    from rootlay.store.hydrate.repair import repair_trees
    from rootlay.store.model.errors import CorruptStore
    from rootlay.store.view.delta import open_native_at

    with suppress(CorruptStore):  # the user of the file will report it
        native = open_native_at(Path(os.fsdecode(view.path)), view.offset, view.length)
        try:
            repair_trees(native, trees)
        finally:
            native.close()
        mark_checked(mark, boot)


def check_filters(filters: Iterable[tuple[Path, Path]]) -> bool:
    """Set the bits of everything in each upper, unless its filter was checked since this boot. Allocate the filter's
    blocks, so that programs need no disk space to set a bit.

    Args:
        filters: uppers and their filters.

    Returns:
        Whether a filter was not checked before. Then noted removals wait to be written through (docs/format.md §7a).

    Raises:
        OSError: an upper cannot be read, or a filter cannot be written.
    """
    boot, repaired = boot_id(), False
    for upper, bloom in filters:
        looked_at, has_blocks = boot_of(bloom)
        if looked_at != boot and boot:
            from rootlay.vfs.overlay.bloomrepair import repair_bloom

            repair_bloom(upper, bloom, boot)
            repaired = True
        elif not has_blocks and looked_at:
            from rootlay.vfs.merge.bloom import Bloom

            Bloom(bloom).close()
    return repaired

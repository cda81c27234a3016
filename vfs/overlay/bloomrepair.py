"""Repair of a filter that may have lost bits, or everything, in a power failure (docs/format.md §7)."""

from __future__ import annotations

import os
from pathlib import Path

from rootlay.store.containers.bloom import HEADER_BYTES, create_full_bloom, forget_written, removed_beside
from rootlay.store.disk.durable import replacing
from rootlay.vfs.merge.bloom import Bloom
from rootlay.vfs.merge.upperkeys import iter_upper_keys


def repair_bloom(upper: Path, path: Path, boot: bytes) -> None:
    """Set the bits of everything in an upper, and note in the filter that it was checked since this boot (`boot`).

    The whiteouts of noted removals may be lost, too: they are made again before the upper is read next.

    All bits are set if there is no filter, or if a directory of the upper cannot be listed. Idempotent; programs may be
    running meanwhile.

    Raises:
        OSError: the filter cannot be written.
    """
    try:
        bloom = Bloom(path)
    except (FileNotFoundError, ValueError):
        with replacing(path) as staged:
            create_full_bloom(staged)
        forget_written(removed_beside(path))
        return
    with bloom:
        try:
            for key, kind in iter_upper_keys(os.fsencode(os.path.realpath(upper))):
                bloom.add(key, kind)
        except PermissionError:
            bloom.map[HEADER_BYTES:] = b"\xff" * (len(bloom.map) - HEADER_BYTES)
        bloom.forget_removals_written()
        forget_written(removed_beside(path))
        bloom.looked_at(boot)

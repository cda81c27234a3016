"""Where a bind appears: its target, as the container's own links have it.

`-v X:/var/run/x` in an image whose `/var/run` is a link to `/run` is a bind at `/run/x`, as with Docker. What does not
exist yet is taken as it is written.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rootlay.store.containerrecord import ContainerRecord


def resolve_targets(root: Path, record: ContainerRecord, targets: Iterable[str]) -> dict[str, str]:
    """The canonical path of each target (absolute paths), by the target."""
    from rootlay.vfs.containerstack import open_overlay

    found = {}
    with open_overlay(root, record) as overlay:
        for target in targets:
            head, rest = target, ""
            while head != "/":
                try:
                    there = os.fsdecode(overlay.resolve(os.fsencode(head)).raw)
                except OSError:
                    head, name = posixpath.split(head)
                    rest = f"/{name}{rest}"
                else:
                    found[target] = there.rstrip("/") + rest
                    break
            else:
                found[target] = target
    return found

"""The real place of a bind: its target, resolved through the container's own links.

`-v X:/var/run/x` in an image whose `/var/run` is a link to `/run` is a bind at `/run/x`, as with Docker. A path that
does not exist yet is used unchanged.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from rootlay.store.model.errors import RootlayError
from rootlay.vfs.run.launch import SYSTEM_BINDS

if TYPE_CHECKING:
    from rootlay.store.containers.record import ContainerRecord
    from rootlay.vfs.overlay.overlay import Overlay


class BindMismatch(RootlayError):
    """The caller binds a directory over a file, or a file over a directory."""

    def __init__(self, host: str, target: str, is_dir: bool) -> None:
        kinds = ("a directory", "a file")
        here, there = kinds if is_dir else reversed(kinds)
        super().__init__(f"-v {host}:{target}: {host} is {here}, and {target} in the container is {there}")
        self.host = host
        self.target = target


def resolve_targets(record: ContainerRecord, binds: Mapping[str, str]) -> dict[str, str]:
    """Return the canonical path of each target, by the target.

    Args:
        binds: host paths, by their targets (absolute paths).

    Raises BindMismatch.
    """
    from rootlay.vfs.overlay.containerstack import open_overlay

    found = {}
    with open_overlay(record) as overlay:
        for target in binds:
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
        for target, host in binds.items():
            if not _is_hidden(found[target], found.values()):
                _check_kind(overlay, host, target, found[target])
    return found


def _is_hidden(path: str, others: Iterable[str]) -> bool:
    """Return whether the container's own object at `path` is below another bind."""
    return any(path.startswith(other.rstrip("/") + "/") for other in (*others, *SYSTEM_BINDS))


def _check_kind(overlay: Overlay, host: str, target: str, path: str) -> None:
    try:
        there = overlay.get(os.fsencode(path))
    except OSError:
        return
    if os.path.exists(host) and there.is_dir != os.path.isdir(host):
        raise BindMismatch(host, target, os.path.isdir(host))

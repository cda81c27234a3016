"""The tree of a container with its mounts, for `cp` and the archives of the API."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from rootlay.store.containers.record import ContainerRecord
from rootlay.vfs.changes.copyerrors import CopyRefused
from rootlay.vfs.changes.mountedtree import MountedTree
from rootlay.vfs.changes.treeview import Mount
from rootlay.vfs.overlay.containerstack import not_removed, open_overlay, require_container
from rootlay.vfs.run.containerlaunch import container_binds
from rootlay.vfs.run.launch import BIND_READ_ONLY, BIND_RECORDS, SYSTEM_BINDS
from rootlay.vfs.run.program import MissingDirectory


@contextlib.contextmanager
def open_mounted(record: ContainerRecord) -> Iterator[MountedTree]:
    """Open the tree that the container's programs see, without /proc, /sys and /dev; close it at the end.

    Raises:
        UnknownContainer: it was removed, also meanwhile.
        CorruptStore: a view or layer is damaged.
        RootlayError, OSError: a mount has no source any more, or one that is not safe.
    """
    require_container(record)
    binds = container_binds(record, Path(record.real_path), record.real_upper)
    mounts = tuple(
        Mount(bind.vpath, bind.host or b"/", bool(bind.flags & BIND_READ_ONLY), bool(bind.flags & BIND_RECORDS))
        for bind in binds
        if os.fsdecode(bind.vpath) not in SYSTEM_BINDS
    )
    with not_removed(record), open_overlay(record) as overlay:
        yield MountedTree(overlay, mounts)


def require_writable(record: ContainerRecord, tree: MountedTree, path: bytes) -> None:
    """Raise CopyRefused, with Docker's words, if nothing may be written there. `path` is a directory, or a new name in
    one."""
    node = None
    with contextlib.suppress(OSError):  # which the copy itself reports
        node = tree.find(path) or tree.find(os.path.dirname(path.rstrip(b"/")) or b"/")
    if node is not None and node.mount is not None:
        if node.mount.read_only:
            raise CopyRefused(path, "mounted volume is marked read-only")
    elif record.config.extra.get("read_only"):
        raise CopyRefused(path, "container rootfs is marked read-only")


def require_directory(record: ContainerRecord, path: str | None) -> None:
    """Raise MissingDirectory for a directory that an exec names: only the start of a container makes a missing one."""
    if not path or any(path == place or path.startswith(f"{place}/") for place in SYSTEM_BINDS):
        return
    with open_mounted(record) as tree:
        try:
            tree.get(os.fsencode(path))
        except FileNotFoundError:
            raise MissingDirectory(path) from None
        except OSError:
            return  # the engine says why

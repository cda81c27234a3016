"""The place of a container made from a bundle: a bundle needs no store, but its container writes.

It is in the user's store, so that `ps` and `rm` find it. If that store is on a network file system, or cannot be made,
it is on a local disk: a bundle on a cluster runs on many machines at once, each with its own hydrated files.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from rootlay.cli.spec import Context, UsageError
from rootlay.store.model.value import replace


def for_image(context: Context, image: str) -> Context:
    """Return the context in which to make a container of `image`. An explicit --root or ROOTLAY_ROOT is always kept.

    Raises:
        UsageError: the local place belongs to another user.
    """
    if "/" not in image or context.root_given:
        return context
    from rootlay.store.bundle.format import is_bundle
    from rootlay.store.disk.filesystem import is_shared

    if not is_bundle(image) or (_is_usable(context.root) and not is_shared(context.root)):
        return context
    return replace(context, root=_local_root(context.environ.get("TMPDIR") or "/tmp"))


def _is_usable(root: Path) -> bool:
    """Return whether a store exists, or can be made, at `root`."""
    while not root.exists() and root != root.parent:
        root = root.parent
    return os.access(root, os.W_OK | os.X_OK)


def _local_root(temporary: str) -> Path:
    root = Path(temporary).absolute() / f"rootlay-{os.geteuid()}"
    try:
        os.mkdir(root, 0o700)
    except FileExistsError:
        found = os.lstat(root)  # in a directory where any user may make a name first
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise UsageError(f"{root} is not a directory that only you can write: set ROOTLAY_ROOT") from None
    return root

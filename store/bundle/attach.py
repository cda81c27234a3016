"""Bundles attached to a store: `views/<bundle's ID>.bundle`, a symbolic link to the file (docs/format.md §10).

Rules:
1. A bundle's tables are verified once, when it is attached. A link always leads to a file that was verified. Whenever
   the link is opened, the ID shows whether it is still the same bundle.
2. On the path of `rootlay run FILE`: nothing heavy may be imported here.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from rootlay.store.bundle.format import SUFFIX, Bundle, Table
from rootlay.store.disk.durable import replacing
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import CorruptStore


def attach(root: Path, path: Path) -> Bundle:
    """Verify the bundle at `path` and register it in the store at `root`. The caller closes the returned bundle.

    Raises FileNotFoundError, CorruptStore, TruncatedArchive.
    """
    real = os.path.realpath(path)
    bundle = Bundle(Path(real))
    try:
        link = link_path(root, bundle.id)
        known = None
        with contextlib.suppress(OSError):
            known = os.readlink(link)
        if known != real:
            bundle.verify_tables()
            with replacing(link) as staged:
                os.symlink(real, staged)
    except BaseException:
        bundle.close()
        raise
    return bundle


def link_path(root: Path, bundle_id: Digest) -> Path:
    """Return the path of the link to a bundle."""
    return root / "views" / (bundle_id.hex + SUFFIX)


def attached_view(root: Path, bundle_id: Digest) -> tuple[bytes, Table]:
    """Return the place of the native view of an attached bundle: the file's real path, and the table inside.

    Raises FileNotFoundError, CorruptStore.
    """
    bundle = open_attached(root, bundle_id)
    try:
        return os.fsencode(os.path.realpath(bundle.path)), bundle.header.tables["view"]
    finally:
        bundle.close()


def open_attached(root: Path, bundle_id: Digest) -> Bundle:
    link = link_path(root, bundle_id)
    try:
        bundle = Bundle(link)
    except FileNotFoundError as error:
        target = os.readlink(link) if link.is_symlink() else str(link)
        raise CorruptStore(
            target, "the bundle that the container was made from is missing: put it back, or make a new container"
        ) from error
    if bundle.id != bundle_id:
        bundle.close()
        raise CorruptStore(
            os.path.realpath(link),
            "not the bundle that the container was made from: put that file back, or make a new container",
        )
    return bundle

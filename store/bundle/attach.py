"""Bundles attached to a store: `views/<bundle's ID>.bundle`, a symbolic link to the file (docs/format.md §10).

Rules:
1. A bundle's tables are verified once, when it is attached. A link always leads to a file that was verified; that it
   is still the same bundle is checked by its ID whenever it is opened.
2. On the path of `rootlay run FILE`: nothing heavy may be imported here.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from rootlay.store.bundle.format import SUFFIX, Bundle, Table
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import CorruptStore

if TYPE_CHECKING:
    from rootlay.store.bundle.reader import BundleView
    from rootlay.store.hydrate.hydrator import Hydrator
    from rootlay.store.store import Store
    from rootlay.store.view.view import View


def attach(root: Path, path: Path) -> Bundle:
    """Verify the bundle at `path` and make it known to the store at `root`. The caller closes what is returned.

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
            staged = f"{link}.{os.getpid()}.{os.urandom(4).hex()}"
            os.symlink(real, staged)
            os.replace(staged, link)
    except BaseException:
        bundle.close()
        raise
    return bundle


def link_path(root: Path, bundle_id: Digest) -> Path:
    """Where the link to a bundle is."""
    return root / "views" / (bundle_id.hex + SUFFIX)


def attached_view(root: Path, bundle_id: Digest) -> tuple[bytes, Table]:
    """Where the native view of an attached bundle is: the file's real path, and the table inside.

    Raises FileNotFoundError, CorruptStore.
    """
    bundle = _open(root, bundle_id)
    try:
        return os.fsencode(os.path.realpath(bundle.path)), bundle.header.tables["view"]
    finally:
        bundle.close()


def _open(root: Path, bundle_id: Digest) -> Bundle:
    link = link_path(root, bundle_id)
    try:
        bundle = Bundle(link)
    except FileNotFoundError as error:
        target = os.readlink(link) if link.is_symlink() else str(link)
        raise CorruptStore(target, "the bundle that the container was made from is gone") from error
    if bundle.id != bundle_id:
        bundle.close()
        raise CorruptStore(os.path.realpath(link), "it is not the bundle any more that the container was made from")
    return bundle


def open_lower(root: Path, chain: str) -> tuple[View | BundleView, Hydrator]:
    """The view of a chain ID (or of a bundle's ID) and what hydrates it. The caller closes both, the hydrator first.

    Raises FileNotFoundError, CorruptStore, TruncatedArchive.
    """
    from rootlay.store.hydrate.hydrator import Hydrator
    from rootlay.store.store import Store
    from rootlay.store.view.build import view_path
    from rootlay.store.view.view import View

    digest = Digest.parse(chain)
    view: View | BundleView
    if link_path(root, digest).is_symlink():
        from rootlay.store.bundle.reader import BundleContent, BundleView

        view = BundleView(_open(root, digest))
        for layer in view.layers:
            (root / "layers" / layer.hex).mkdir(mode=0o700, parents=True, exist_ok=True)
        return view, Hydrator(BundleContent(root, link_path(root, digest)), view)
    store = Store.open(root)
    view = View.open(view_path(store.root, digest))
    return view, Hydrator(store, view)


def load_attached(store: Store, bundle_id: Digest) -> None:
    """The layers of an attached bundle into the store, those that are not there. Raises as `Store.load`.

    Preconditions: the caller is inside `layout.importing()`.
    """
    from rootlay.store.exchange.ociload import load_layers, read_image
    from rootlay.store.model.progress import silent

    bundle = _open(store.root, bundle_id)
    try:
        load_layers(store, bundle, read_image(bundle), bundle_id.short, silent)
    finally:
        bundle.close()

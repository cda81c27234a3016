"""Building the merged view of a stack of layers (docs/format.md §4, §5).

Rules:
1. The merge itself runs in C (`rootlay.store.view.merge`, which states the rules of merging); this module reads the
   layer indexes, and writes both forms of the result under one lock.
2. Views are derived data: the chain ID names them, so an existing one is right, and a lost one costs a rebuild.
3. The LMDB form is published last; if it exists, the native form, and the base of a delta, exist too.
4. A complete view is never replaced: the ids of its entries may be in use.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rootlay.store.disk.durable import make_directory, publish, staging_directory, sync_path, translated, write_file
from rootlay.store.disk.lmdbfile import write_sorted
from rootlay.store.disk.lock import acquire
from rootlay.store.model.digest import Digest, chain_id
from rootlay.store.model.entry import META_KEY
from rootlay.store.model.errors import CorruptStore, RootlayError, printable
from rootlay.store.view.delta import DeltaHeader, base_of, read_header

if TYPE_CHECKING:
    from rootlay.store.view.merge import Merge

_VERSION = 1
_RECORDS_AT_ONCE = 4096


class BrokenHardLink(RootlayError):
    """A hard link in a layer to a file that no layer has."""

    fault = "image"
    exit_code = 29

    def __init__(self, diff_id: Digest, path: bytes, target: bytes, reason: str) -> None:
        super().__init__(f"layer {diff_id.short}: hard link {printable(path)}: {printable(target)} {reason}")
        self.diff_id = diff_id
        self.path = path
        self.target = target
        self.reason = reason


class LayerRecords(Protocol):
    """The needs of the merge from a layer."""

    def iter_raw(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield all entry records in key order."""

    def close(self) -> None:
        """Close the layer."""


class LayerSource(Protocol):
    """The needs of the merge from a store."""

    @property
    def root(self) -> Path:
        """The store's directory."""

    def layer(self, diff_id: Digest, /) -> LayerRecords:
        """Open the layer of a diff ID."""


def view_path(root: Path, chain: Digest) -> Path:
    """Return the path of the LMDB form of a view; the native form is next to it, with the suffix `.view`."""
    return root / "views" / f"{chain.hex}.lmdb"


def build_view(store: LayerSource, diff_ids: Sequence[Digest]) -> Digest:
    """Make the view of a stack of layers, if it is missing: as a delta, if the view of lower layers is there.

    Args:
        store: holds the layers.
        diff_ids: base layer first; an empty one gives the view of an empty directory.

    Returns:
        The chain ID, which names the view.

    Raises:
        BrokenHardLink: a hard link to a name that no layer has, or to a directory.
        CorruptStore: a damaged layer index.
        DiskFull, StoreNotWritable: the view cannot be written.

    Idempotent and atomic. Several builders of one view wait for each other; the first one builds. A crash half-way
    leaves a staging directory, which the next `sweep` removes, and perhaps a native form without the LMDB form.
    """
    chain = chain_id(diff_ids)
    final = view_path(store.root, chain)
    if _is_complete(final, chain):
        return chain
    with translated(store.root):
        for name in ("views", "locks", "tmp"):
            make_directory(store.root / name)
        with acquire(store.root / "locks" / f"view-{chain.hex}.lock"):
            if not _is_complete(final, chain):
                _withdraw(final)
                if not _build_delta(store, final, chain, diff_ids):
                    merge, counts = merge_layers(store, diff_ids)
                    with staging_directory(store.root / "tmp") as staging:
                        _write(staging, final, merge, counts, chain, diff_ids)
    return chain


def _withdraw(final: Path) -> None:
    """Remove the LMDB form of a view that has lost another one of its files (rule 3): what is made now may be a delta
    in the place of a whole view, or the other way, and have other ids."""
    if final.exists():
        final.unlink()
        sync_path(final.parent)


def write_whole_view(store: LayerSource, diff_ids: Sequence[Digest], directory: Path) -> Path:
    """Write the view of a stack, not as a delta, to a directory of the caller. Returns the path of the LMDB form.

    Raises as `build_view`.
    """
    chain = chain_id(diff_ids)
    final = directory / f"{chain.hex}.lmdb"
    merge, counts = merge_layers(store, diff_ids)
    with translated(store.root), staging_directory(store.root / "tmp") as staging:
        _write(staging, final, merge, counts, chain, diff_ids)
    return final


def _is_complete(final: Path, chain: Digest) -> bool:
    """Return whether both forms are there, and those of a base. A native form that does not match its name counts as
    absent."""
    native = final.with_suffix(".view")
    try:
        header = read_header(native)
        if isinstance(header, DeltaHeader):
            base = read_header(base_of(native))
            if isinstance(base, DeltaHeader) or not header.fits(base) or not base_of(final).exists():
                return False
    except (FileNotFoundError, CorruptStore):
        return False
    return header.chain_id == chain and final.exists()


def _build_delta(store: LayerSource, final: Path, chain: Digest, diff_ids: Sequence[Digest]) -> bool:
    """Make the view as a delta, if that is possible. Returns whether it was.

    A broken layer is no reason to raise here: the merge of all layers will name it.
    """
    from rootlay.store.view.deltabuild import find_base, link_base, merge_delta
    from rootlay.store.view.merge import MissingTarget, NoDelta

    base = find_base(store.root / "views", diff_ids)
    if base is None:
        return False
    try:
        delta = merge_delta(base, (_records(store, layer) for layer in diff_ids[base.layers :]), diff_ids)
        with staging_directory(store.root / "tmp") as staging:
            linked = link_base(base, staging)
            staged = staging / final.name
            payload = sum(len(key) + len(record) for key, record in delta.records) + len(META_KEY) + len(delta.meta)
            write_sorted(staged, (*delta.records, (META_KEY, delta.meta)), payload, len(delta.records) + 1)
            for source, form in zip(linked, (final, final.with_suffix(".view")), strict=True):
                publish(source, base_of(form), durable=False)  # its content is; its name becomes so with the last file
            write_file(staging, final.with_suffix(".view"), delta.native, durable=False)
            sync_path(final.with_suffix(".view"))
            publish(staged, final)
    except (NoDelta, MissingTarget, ValueError, CorruptStore, FileNotFoundError):
        return False
    return True


def _records(store: LayerSource, diff_id: Digest) -> Iterator[tuple[bytes, bytes]]:
    """Yield all records of one layer, and close the layer after the read: a stack may have more layers than a process
    has descriptors, and the merge needs the memory."""
    with closing(store.layer(diff_id)) as layer:
        yield from layer.iter_raw()


def _open_spill(tmp: Path) -> int | None:
    """Return a descriptor of a new file without a name; None if there is none: then the merge stays in memory."""
    try:
        return os.open(tmp, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        return None


def merge_layers(store: LayerSource, diff_ids: Sequence[Digest]) -> tuple[Merge, tuple[int, int]]:
    """Return the finished merge, and its number of entries and payload bytes."""
    from rootlay.store.view.merge import Merge, MissingTarget

    merge = Merge(spill=_open_spill(store.root / "tmp"))
    for diff_id in diff_ids:
        try:
            merge.add(_records(store, diff_id))
        except MissingTarget as error:
            _, path, target, reason = error.args
            raise BrokenHardLink(diff_id, path, target, reason) from error
        except ValueError as error:
            raise CorruptStore(f"index of layer {diff_id}", str(error)) from error
    return merge, merge.finish()


def _write(
    staging: Path, final: Path, merge: Merge, counts: tuple[int, int], chain: Digest, diff_ids: Sequence[Digest]
) -> None:
    entries, payload_bytes = counts
    meta = json.dumps(
        {"version": _VERSION, "chain_id": str(chain), "layers": [str(d) for d in diff_ids], "entries": entries - 1}
    ).encode("ascii")
    staged = staging / final.name
    items = view_items(merge, entries, meta)
    write_sorted(staged, items, payload_bytes + len(META_KEY) + len(meta), entries)
    write_file(staging, final.with_suffix(".view"), merge.iter_native(chain.raw))
    publish(staged, final)


def view_items(merge: Merge, entries: int, meta: bytes) -> Iterable[tuple[bytes, bytes]]:
    """Yield all records of the LMDB form in key order; the description's key is the last of all."""
    for first in range(1, entries, _RECORDS_AT_ONCE):
        yield from merge.records(first, _RECORDS_AT_ONCE)
    yield META_KEY, meta

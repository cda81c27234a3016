"""Building a view as a delta: what a few layers change on top of a view that exists (docs/format.md §5, "Delta").

Rules:
1. The base is the view of the most lower layers that is no delta itself: so a look-up never asks more than two tables,
   and a stack that grows by small layers gets a whole view again when they have changed SHARE of the base.
2. Nothing requires a delta: where there is no fitting base, or the change cannot be stored as one, the caller builds
   the whole view.
3. A delta owns its base, as hard links: the view of the lower layers may be removed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path

from rootlay.store.disk.lmdbfile import LmdbFile
from rootlay.store.model.digest import Digest, chain_id
from rootlay.store.model.errors import CorruptStore
from rootlay.store.model.value import value
from rootlay.store.view.delta import DeltaHeader, base_of, chain_of, read_header
from rootlay.store.view.merge import Merge, NoDelta
from rootlay.store.view.native import NativeHeader

MIN_ENTRIES = 4096  # a smaller view is made in a few milliseconds
SHARE = 16
META_VERSION = 2
_LAYER = 4
_NLINK = (12, 16)  # of an entry: bytes


@value
class Base:
    """A view that is no delta: both forms, the number of its layers, and its size."""

    native: Path
    lmdb: Path
    layers: int
    entries: int
    chain_id: Digest

    @property
    def records_max(self) -> int:
        """The number of records of upper layers up to which a delta is made."""
        return self.entries // SHARE


@value
class Delta:
    """A finished merge on top of a base."""

    base: Base
    native: bytes
    records: tuple[tuple[bytes, bytes], ...]
    meta: bytes


def find_base(views: Path, diff_ids: Sequence[Digest]) -> Base | None:
    """Return the base for the view of a stack, which has more layers than the base; None: there is none."""
    chains: list[Digest] = []
    for diff_id in diff_ids[:-1]:
        chains.append(Digest.of(f"{chains[-1]} {diff_id}".encode("ascii")) if chains else chain_id((diff_id,)))
    for number in range(len(chains), 0, -1):
        lmdb = views / f"{chains[number - 1].hex}.lmdb"
        native = lmdb.with_suffix(".view")
        with suppress(OSError, CorruptStore):
            header = read_header(native)
            if isinstance(header, DeltaHeader):
                lmdb, native = base_of(lmdb), base_of(native)
                header = read_header(native)
            if (
                isinstance(header, NativeHeader)
                and 1 <= header.layers <= number
                and header.chain_id == chains[header.layers - 1]
                and header.entries >= MIN_ENTRIES
                and lmdb.exists()
            ):
                return Base(native, lmdb, header.layers, header.entries, header.chain_id)
    return None


def merge_delta(base: Base, layers: Iterable[Iterable[tuple[bytes, bytes]]], diff_ids: Sequence[Digest]) -> Delta:
    """Merge the records of upper layers, lowest first, on top of a base.

    Args:
        diff_ids: of the whole stack.

    Raises:
        NoDelta: the change is too large, or cannot be stored as a delta.
        ValueError, MissingTarget: as `Merge.add`.
        OSError: the base cannot be read.
    """
    with open(base.native, "rb") as stream:
        merge = Merge(stream.fileno())
    left = base.records_max
    for records in layers:
        some = list(islice(records, left + 1))
        left -= len(some)
        if left < 0:
            raise NoDelta("too many changes")
        merge.add(some)
    rows, _ = merge.finish()
    chain = chain_id(diff_ids)
    native = merge.delta(chain.raw)
    header = DeltaHeader.parse(native, str(chain))
    meta = {
        "version": META_VERSION,
        "chain_id": str(chain),
        "layers": [str(d) for d in diff_ids],
        "entries": header.base_entries - 1 + header.added,
        "base": str(base.chain_id),
    }
    with closing(LmdbFile(base.lmdb)) as lower:
        records = tuple(_with_own_place(lower, base, merge.records(1, rows - 1)))
    return Delta(base, native, records, json.dumps(meta).encode("ascii"))


def _with_own_place(lower: LmdbFile, base: Base, rows: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the records; those of objects of the base as they are there, with another number of links: the native form
    does not know the place of an entry in its layer's tar."""
    for key, record in rows:
        if int.from_bytes(record[:_LAYER], "little") < base.layers:
            stored = lower.get(key)
            if stored is None or len(stored) != len(record):
                raise CorruptStore(str(base.lmdb), "its two forms differ")
            start, end = (8 + at for at in _NLINK)  # a directory has no source
            record = stored[:start] + record[start:end] + stored[end:]
        yield key, record


def link_base(base: Base, staging: Path) -> tuple[Path, Path]:
    """Link both forms of a base into a staging directory, and check that they are the base still.

    Raises:
        NoDelta: it is gone, or the file system has no links.
    """
    linked = staging / "base.lmdb", staging / "base.view"
    try:
        for source, name in zip((base.lmdb, base.native), linked, strict=True):
            os.link(os.path.realpath(source), name)
        header = read_header(linked[1])
    except (OSError, CorruptStore) as error:
        raise NoDelta(str(error)) from error
    with closing(LmdbFile(linked[0])) as lower:
        described = chain_of(lower)
    if header.chain_id != base.chain_id or described != str(base.chain_id):
        raise NoDelta("the base was replaced")
    return linked

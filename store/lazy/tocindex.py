"""The layer index of a lazy layer, made from its table of contents (docs/format.md §11).

There is no tar to count offsets in, so content has offsets in the concatenation of all chunks, in the table's order;
each chunk is a segment.
"""

from __future__ import annotations

import tempfile
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path
from struct import Struct

from rootlay.store.chunks.segments import ChunkPlace
from rootlay.store.codec.segment import SEGMENT_BYTES_MAX, Checkpoint
from rootlay.store.layer.index import write_layer_index
from rootlay.store.layer.tree import LayerTree
from rootlay.store.layout.layerfiles import LayerMeta
from rootlay.store.lazy.toc import Chunk, TocFile
from rootlay.store.model.access import Access
from rootlay.store.model.digest import Digest
from rootlay.store.model.entry import Entry
from rootlay.store.model.errors import BadManifest
from rootlay.store.model.limits import Budget
from rootlay.store.model.manifest import Descriptor
from rootlay.store.model.value import replace

_ROW = Struct("<QQQ?32s")  # start, inner, length, zeros, SHA-256
_ROWS_AT_A_TIME = 1000


def write_toc_index(
    path: Path, files: Iterable[TocFile], own_id: Digest, layer: Descriptor, content_end: int, budget: Budget
) -> None:
    """Write the index of the layer `own_id` to the new file `path`.

    Args:
        layer: the blob's descriptor.
        content_end: where chunks end in the blob at the latest.

    Raises BadManifest, UnsafePath, UnsupportedMedia, TooLarge.
    """
    what = f"layer {layer.digest.short}"
    with _ChunkTable(path.parent, content_end, what) as chunks:
        _write(path, files, chunks, own_id, layer, budget)


def _write(
    path: Path, files: Iterable[TocFile], chunks: _ChunkTable, own_id: Digest, layer: Descriptor, budget: Budget
) -> None:
    what = f"layer {layer.digest.short}"
    tree = LayerTree(scratch=path.parent)
    at = 0
    for file in files:
        entry = replace(file.entry, offset=at)
        tree.add(file.name, entry)
        budget.take_entries(1, what)
        budget.take_bytes(entry.size, what)
        for chunk in file.chunks:
            if chunk.length > SEGMENT_BYTES_MAX and not chunk.zeros:
                raise BadManifest(what, f"a chunk is larger than {SEGMENT_BYTES_MAX} bytes")
            for piece in _cut(chunk):
                chunks.add(piece)
        at += entry.size
    tree.finish()
    meta = LayerMeta(own_id, layer.digest, layer.media_type, len(tree), at, at, Access.LAZY, tree.lower_links)
    write_layer_index(path, tree, chunks, meta)


def _cut(chunk: Chunk) -> list[Chunk]:
    """Split long runs of zeros: they may have any length, but segments are read whole."""
    if chunk.length <= SEGMENT_BYTES_MAX:
        return [chunk]
    return [
        replace(chunk, file_offset=chunk.file_offset + at, length=min(SEGMENT_BYTES_MAX, chunk.length - at))
        for at in range(0, chunk.length, SEGMENT_BYTES_MAX)
    ]


class _ChunkTable:
    """The chunks of a layer, in a file without a name: there is at least one for each file of the layer. Iteration
    yields checkpoints. A chunk without an end in the table of contents ends at the start of the next one.
    """

    def __init__(self, directory: Path, content_end: int, what: str) -> None:
        self._content_end = content_end
        self._what = what
        self._rows = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 -- closed by `__exit__`
        self._count = 0
        self._starts = array("Q")
        self._is_sorted = True

    def __enter__(self) -> _ChunkTable:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()

    def __len__(self) -> int:
        return self._count

    def add(self, chunk: Chunk) -> None:
        """Add the next chunk."""
        self._count += 1
        if chunk.zeros or chunk.digest is None:
            self._rows.write(_ROW.pack(chunk.start, chunk.inner, chunk.length, True, bytes(32)))
            return
        self._rows.write(_ROW.pack(chunk.start, chunk.inner, chunk.length, False, chunk.digest.raw))
        self._is_sorted = self._is_sorted and (not self._starts or self._starts[-1] <= chunk.start)
        self._starts.append(chunk.start)

    def __iter__(self) -> Iterator[Checkpoint]:
        """Yield the checkpoints. Raises BadManifest."""
        if not self._is_sorted:
            self._starts = array("Q", sorted(self._starts))
            self._is_sorted = True
        at = 0
        for start, inner, length, zeros, sha256 in self._read():
            begin, end = (min(start, self._content_end),) * 2 if zeros else (start, self._end(start))
            yield Checkpoint(at, begin, 0, length, ChunkPlace(end, inner, sha256).pack())
            at += length

    def _read(self) -> Iterator[tuple[int, int, int, bool, bytes]]:
        self._rows.seek(0)
        while rows := self._rows.read(_ROW.size * _ROWS_AT_A_TIME):
            yield from _ROW.iter_unpack(rows)

    def _end(self, start: int) -> int:
        following = bisect_right(self._starts, start)
        end = self._starts[following] if following < len(self._starts) else self._content_end
        if not 0 <= start < end <= self._content_end:
            raise BadManifest(self._what, "its table of contents has a chunk outside the blob")
        if end - start > 2 * SEGMENT_BYTES_MAX:
            raise BadManifest(self._what, "its table of contents has chunks too far apart")
        return end


def toc_entry(name: bytes, member: Entry, start: int, digest: Digest) -> TocFile:
    """Return the entry of the table itself, which an eStargz has at the end of its tar, in its own gzip member.

    Args:
        member: the entry in that tar; its offset counts from the member's start, which is at `start` in the blob.
    """
    chunk = Chunk(start, 0, member.offset, 0, member.size, digest)
    return TocFile(name, replace(member, offset=0), None, [chunk])

"""The layer index of a lazy layer, made of its table of contents (docs/format.md §11).

There is no tar to count offsets in, so content has offsets in the concatenation of all chunks, in the table's order;
each chunk is a segment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from struct import Struct
from struct import error as struct_error
from tarfile import TarInfo

from rootlay.store.codec import Access
from rootlay.store.digest import Digest
from rootlay.store.entry import Entry, EntryType
from rootlay.store.errors import BadManifest, CorruptStore
from rootlay.store.layer import LayerMeta
from rootlay.store.layerindex import write_layer_index
from rootlay.store.layertree import LayerTree
from rootlay.store.lazy.toc import Chunk, TocFile
from rootlay.store.limits import Budget
from rootlay.store.manifest import Descriptor
from rootlay.store.segment import SEGMENT_BYTES_MAX, Checkpoint

_WINDOW = Struct("<QQ32s")


@dataclass(frozen=True, slots=True)
class ChunkPlace:
    """What a segment's checkpoint says beyond its beginning: where its bytes end in the blob, how many come out before
    it, and the SHA-256 of its own."""

    end: int
    inner: int
    sha256: bytes

    @classmethod
    def parse(cls, window: bytes) -> ChunkPlace:
        """Raises CorruptStore."""
        try:
            return cls(*_WINDOW.unpack(window))
        except struct_error as error:
            raise CorruptStore("layer index", "malformed chunk") from error

    def pack(self) -> bytes:
        """The stored form."""
        return _WINDOW.pack(self.end, self.inner, self.sha256)


def write_toc_index(
    path: Path, files: Iterable[TocFile], own_id: Digest, layer: Descriptor, content_end: int, budget: Budget
) -> None:
    """Write the index of the layer `own_id` to the new file `path`.

    Args:
        layer: the blob's descriptor.
        content_end: where in the blob chunks end at the latest.

    Raises BadManifest, UnsafePath, UnsupportedMedia, TooLarge.
    """
    what = f"layer {layer.digest.short}"
    tree = LayerTree()
    chunks: list[Chunk] = []
    at = 0
    for file in files:
        entry = replace(file.entry, offset=at)
        tree.add(file.name, entry)
        budget.take_entries(1, what)
        budget.take_bytes(entry.size, what)
        for chunk in file.chunks:
            if chunk.length > SEGMENT_BYTES_MAX and not chunk.zeros:
                raise BadManifest(what, f"chunks of more than {SEGMENT_BYTES_MAX} bytes")
            chunks += _cut(chunk)
        at += entry.size
    tree.finish()
    checkpoints = _checkpoints(chunks, content_end, what)
    meta = LayerMeta(own_id, layer.digest, layer.media_type, len(tree), at, at, Access.LAZY, tree.lower_links)
    write_layer_index(path, tree, checkpoints, meta)


def _cut(chunk: Chunk) -> list[Chunk]:
    """Zeros may be of any length; segments are read whole."""
    if chunk.length <= SEGMENT_BYTES_MAX:
        return [chunk]
    return [
        replace(chunk, file_offset=chunk.file_offset + at, length=min(SEGMENT_BYTES_MAX, chunk.length - at))
        for at in range(0, chunk.length, SEGMENT_BYTES_MAX)
    ]


def _checkpoints(chunks: list[Chunk], content_end: int, what: str) -> list[Checkpoint]:
    """A chunk whose end the table does not give ends where the next one starts."""
    starts = sorted({chunk.start for chunk in chunks if not chunk.zeros})
    following = dict(pairwise([*starts, content_end]))  # a layer may have no content at all
    found = []
    at = 0
    for chunk in chunks:
        if chunk.zeros or chunk.digest is None:
            start, end, digest = min(chunk.start, content_end), min(chunk.start, content_end), bytes(32)
        else:
            start, end, digest = chunk.start, following[chunk.start], chunk.digest.raw
            if not 0 <= start < end <= content_end:
                raise BadManifest(what, "its table of contents has a chunk outside the blob")
            if end - start > 2 * SEGMENT_BYTES_MAX:
                raise BadManifest(what, "its table of contents has chunks too far apart")
        place = ChunkPlace(end, chunk.inner, digest)
        found.append(Checkpoint(at, start, 0, chunk.length, place.pack()))
        at += chunk.length
    return found


def toc_entry(toc: bytes, start: int, header: TarInfo) -> TocFile:
    """The entry of the table itself, which an eStargz has at the end of its tar, in a member of its own."""
    chunk = Chunk(start, 0, header.offset_data, 0, len(toc), Digest.of(toc))
    mode, mtime_ns = header.mode & 0o7777, int(header.mtime) * 1_000_000_000
    entry = Entry(EntryType.FILE, mode=mode, uid=header.uid, gid=header.gid, size=len(toc), mtime_ns=mtime_ns)
    return TocFile(header.name.encode(), entry, None, [chunk])

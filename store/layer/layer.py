"""An imported layer: its index, and random access to the content of its files (docs/format.md §1, §2)."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from rootlay.store.chunks.fetch import OpenFetch, unreachable
from rootlay.store.codec.content import ContentReader, Extent, SegmentReader
from rootlay.store.codec.segment import Checkpoint, checkpoint_key
from rootlay.store.disk.lmdbfile import LmdbFile
from rootlay.store.layout.layerfiles import INDEX_NAME, LAZY_NAME, PACK_NAME, TREE_NAME, LayerMeta
from rootlay.store.model.access import Access
from rootlay.store.model.entry import CHECKPOINT_PREFIX, FIRST_RESERVED_KEY, META_KEY, Entry, EntryType, entry_key

_BUFFER_BYTES = 1 << 17


class Layer:
    """One layer, immutable and thread safe. Close it; content readers must be closed before."""

    def __init__(self, directory: Path, blobs: Path, open_fetch: OpenFetch = unreachable) -> None:
        """Open `layers/<hex>`.

        Args:
            blobs: the layout's `blobs`.
            open_fetch: returns the fetcher of missing content of a lazy layer.

        Raises FileNotFoundError, CorruptStore.
        """
        self.path = directory
        self.tree = directory / TREE_NAME
        self._index = LmdbFile(directory / INDEX_NAME)
        self.meta = LayerMeta.parse(self._index.get(META_KEY), str(directory / INDEX_NAME))
        self.diff_id = self.meta.diff_id
        self._blob = blobs / self.meta.blob.algorithm / self.meta.blob.hex
        self._segments: SegmentReader | None = None
        self._lock = threading.Lock()
        self._open_fetch = open_fetch

    @property
    def data_path(self) -> Path:
        """The file from which content is read: the blob, the pack, or the fetched part of a lazy layer's blob."""
        names = {Access.PACK: PACK_NAME, Access.LAZY: LAZY_NAME}
        name = names.get(self.meta.access)
        return self._blob if name is None else self.path / name

    def find(self, parent_id: int, name: bytes) -> Entry | None:
        """Return what this layer says about `name` in the directory `parent_id`; the root is `(0, b"")`."""
        packed = self._index.get(entry_key(parent_id, name))
        return None if packed is None else Entry.unpack(packed)

    def find_path(self, path: bytes) -> Entry | None:
        """Return what this layer says about a canonical path (`a/b`; empty for the root). Links are not followed."""
        entry = self.find(0, b"")
        for name in path.split(b"/") if path else ():
            if entry is None or entry.type is not EntryType.DIRECTORY:
                return None
            entry = self.find(entry.id, name)
        return entry

    def iter_children(self, parent_id: int) -> Iterator[tuple[bytes, Entry]]:
        """Yield the names that this layer has in a directory, whiteouts included, sorted by bytes."""
        prefix = entry_key(parent_id, b"")
        for key, data in self._index.iter_from(prefix):
            if not key.startswith(prefix):
                return
            yield key[len(prefix) :], Entry.unpack(data)

    def iter_raw(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield all (key, packed entry) in key order."""
        for key, data in self._index.iter_from(b"\0"):
            if key >= FIRST_RESERVED_KEY:
                return
            yield key, data

    def iter_checkpoints(self) -> Iterator[Checkpoint]:
        """Yield the starts of the segments of its data, in order."""
        for key, data in self._index.iter_from(CHECKPOINT_PREFIX):
            if not key.startswith(CHECKPOINT_PREFIX):
                return
            yield Checkpoint.parse(key, data)

    def _find_window(self, tar_offset: int) -> bytes:
        """Return the window of the checkpoint at an offset in the tar. Raises CorruptStore."""
        key = checkpoint_key(tar_offset)
        return Checkpoint.parse(key, self._index.get(key) or b"").window

    def _open_segments(self) -> SegmentReader:
        with self._lock:
            if self._segments is None and self.meta.access is Access.LAZY:
                from rootlay.store.chunks.segments import LazySegments  # with zstandard and hashlib

                self._segments = LazySegments(self.path, self.iter_checkpoints(), self._find_window, self._open_fetch)
            if self._segments is None:
                self._segments = SegmentReader(
                    self.data_path, self.meta.access, self.iter_checkpoints(), self.path, self._find_window
                )
            return self._segments

    def open_content(self, entry: Extent) -> BinaryIO:
        """Open the content of a file entry of this layer: seekable, independent of other readers, verified as it is
        read.

        Close it. Reading raises CorruptStore. Raises ValueError for an entry that is not a file.
        """
        if entry.type is not EntryType.FILE:
            raise ValueError(f"an entry of type {entry.type.name} has no content")
        return io.BufferedReader(ContentReader(self._open_segments(), entry), max(1, min(_BUFFER_BYTES, entry.size)))

    def find_ready(self, entry: Extent) -> tuple[bytes, int] | None:
        """Return the verified bytes that hold the content of a file, which is not sparse, and its start in them.

        None if they would have to be decompressed.
        """
        return self._segments.find_ready(entry.offset, entry.size) if self._segments is not None else None

    def iter_tar(self) -> Iterator[bytes]:
        """Yield the layer's whole uncompressed tar, in pieces, verified. Raises CorruptStore."""
        segments = self._open_segments()
        at = 0
        while at < self.meta.tar_bytes:
            piece = segments.read_some(at, self.meta.tar_bytes - at)
            at += len(piece)
            yield bytes(piece)

    def close(self) -> None:
        """Close the index and the blob. Idempotent."""
        self._index.close()
        with self._lock:
            if self._segments is not None:
                self._segments.close()
                self._segments = None

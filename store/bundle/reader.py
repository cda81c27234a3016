"""The content of a bundle, as the view and the layers of a stack (docs/format.md §10).

It gives the same answers as `store.view.view.View` and `store.layer.layer.Layer`, from the bundle's tables: the native
view, and the place of the content of each of its entries.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from struct import Struct
from struct import error as struct_error
from typing import BinaryIO

from rootlay.store.bundle.format import Bundle
from rootlay.store.codec.content import ContentReader, Extent, SegmentReader
from rootlay.store.codec.segment import SEGMENT_BYTES_MAX, Checkpoint
from rootlay.store.codec.zstdframes import decompress_frames
from rootlay.store.model.access import Access
from rootlay.store.model.digest import Digest
from rootlay.store.model.entry import ROOT_ID, Entry, EntryType, SparseMap, Xattrs
from rootlay.store.model.errors import CorruptStore
from rootlay.store.view.native import NativeView
from rootlay.store.view.view import Node, Walks

OFFSET = Struct("<Q")
SPARSE_HEAD = Struct("<II")
RUN = Struct("<QQ")
SEGMENT = Struct("<IIQQII")  # layer, crc32, offset in the tar, offset in the file, length, length of the frame
_XATTR = Struct("<HI")
_TYPES = {t.value: t for t in EntryType}
_BUFFER_BYTES = 1 << 17


class BundleView(Walks):
    """The merged view of a bundle's layers: see `rootlay.store.view.view.View`. Thread safe, usable after a fork."""

    def __init__(self, bundle: Bundle) -> None:
        """Take over `bundle`, which `close` closes. Raises CorruptStore."""
        self.path = bundle.path
        self.chain_id = bundle.id
        self.layers = bundle.layer_ids
        self._bundle = bundle
        self._native = self.open_native()
        self._contents = bundle.map_table("contents")
        self.entries = self._native.entries
        if len(self._contents) < OFFSET.size * (self.entries + 1):
            raise CorruptStore(str(self.path), "its table of contents is too short")
        self.root = self._node(ROOT_ID)

    @classmethod
    def open(cls, path: Path) -> BundleView:
        """Open the bundle at `path`. Raises FileNotFoundError, CorruptStore, TruncatedArchive."""
        bundle = Bundle(path)
        try:
            return cls(bundle)
        except BaseException:
            bundle.close()
            raise

    def open_native(self) -> NativeView:
        """Return the native view; the caller closes it."""
        return NativeView.of(self._bundle.map_table("view"), str(self.path))

    @cached_property
    def _sparse(self) -> dict[int, SparseMap]:
        """The sparse files: data runs by entry id."""
        found: dict[int, SparseMap] = {}
        at = OFFSET.size * (self.entries + 1)
        try:
            while at < len(self._contents):
                entry_id, count = SPARSE_HEAD.unpack_from(self._contents, at)
                at += SPARSE_HEAD.size
                found[entry_id] = tuple(RUN.iter_unpack(self._contents[at : at + RUN.size * count]))
                at += RUN.size * count
        except struct_error as error:
            raise CorruptStore(str(self.path), "its table of contents is damaged") from error
        return found

    def _node(self, entry_id: int) -> Node:
        e = self._native.entry(entry_id)
        kind = _TYPES.get(e.type)
        if kind is None:
            raise CorruptStore(str(self.path), f"entry {entry_id} has an unknown type")
        (offset,) = OFFSET.unpack_from(self._contents, OFFSET.size * entry_id)
        sparse = self._sparse.get(e.ino) if kind is EntryType.FILE and self._sparse else None
        return Node(
            e.id, kind, e.mode & 0o7777, e.uid, e.gid, e.size, e.mtime_ns, e.nlink, e.ino, e.layer, e.source, e.link,
            _xattrs(e.xattrs), e.major, e.minor, offset, sparse,
        )  # fmt: skip

    def find(self, parent_id: int, name: bytes) -> Node | None:
        """Return `name` in the directory `parent_id`, or None."""
        if not name:
            return self.root if parent_id == 0 else None
        entry_id = self._native.find(parent_id, name)
        return self._node(entry_id) if entry_id else None

    def iter_children(self, parent_id: int) -> Iterator[tuple[bytes, Node]]:
        """Yield the children of a directory, sorted by name (bytes)."""
        for entry_id in self._native.entry(parent_id).children:
            yield self._native.key(entry_id)[1], self._node(entry_id)

    def list_types(self, parent_id: int) -> list[tuple[bytes, int]]:
        """See `rootlay.store.view.view.View`."""
        return self._native.list_types(parent_id)

    def iter_nodes(self, after: int = 0) -> Iterator[tuple[int, bytes, Node]]:
        """Yield everything behind an id as (parent id, name, node), in the order of the ids: parents come first."""
        for entry_id in range(after + 1, self.entries + 1):
            parent, name = self._native.key(entry_id)
            yield parent, name, self._node(entry_id)

    def iter_places(self) -> Iterator[tuple[int, int, int]]:
        """See `rootlay.store.view.view.View`."""
        for entry_id in range(ROOT_ID, self.entries + 1):
            e = self._native.entry(entry_id)
            if e.type == EntryType.FILE.value and e.ino == entry_id and not e.source:
                yield entry_id, e.layer, OFFSET.unpack_from(self._contents, OFFSET.size * entry_id)[0]

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._native.close()
        self._contents.close()
        self._bundle.close()


def _xattrs(packed: bytes) -> Xattrs:
    found = []
    at = 0
    while at + _XATTR.size <= len(packed):
        name_len, value_len = _XATTR.unpack_from(packed, at)
        at += _XATTR.size
        found.append((packed[at : at + name_len], packed[at + name_len : at + name_len + value_len]))
        at += name_len + value_len
    return tuple(found)


class BundleContent:
    """The layers of a bundle, for hydration: rootlay.store.hydrate.hydrator.ContentStore.

    `root` is the place of the hydrated files: a local store, or a directory that has the form of one.
    """

    def __init__(self, root: Path, path: Path) -> None:
        self.root = root
        self._path = path

    def layer(self, diff_id: Digest) -> BundleLayer:
        """Open a layer by one of the bundle's `layer_ids`. Raises CorruptStore, FileNotFoundError."""
        bundle = Bundle(self._path)
        try:
            return BundleLayer(bundle, bundle.layer_ids.index(diff_id))
        except ValueError as error:
            bundle.close()
            raise CorruptStore(
                str(self._path),
                "not the bundle that the container was made from: put that file back, or make a new container",
            ) from error
        except BaseException:
            bundle.close()
            raise


class BundleLayer:
    """One layer of a bundle: the content of its files."""

    def __init__(self, bundle: Bundle, number: int) -> None:
        """Take over `bundle`."""
        self._bundle = bundle
        self._segments = _BundleSegments(bundle, number)

    def find_path(self, path: bytes) -> Entry | None:
        """Return None: a bundle keeps only the visible part of its layers. Directories of a tree get a plain mode."""
        return None

    def open_content(self, entry: Extent) -> BinaryIO:
        """Open the content of a file entry: seekable, verified as it is read. Reading raises CorruptStore."""
        return io.BufferedReader(ContentReader(self._segments, entry), max(1, min(_BUFFER_BYTES, entry.size)))

    def find_ready(self, entry: Extent) -> tuple[bytes, int] | None:
        """See `rootlay.store.layer.layer.Layer`."""
        return self._segments.find_ready(entry.offset, entry.size)

    def close(self) -> None:
        """Close the layer. Idempotent."""
        self._segments.close()
        self._bundle.close()


class _BundleSegments(SegmentReader):
    """The segments of one layer, each a zstd frame of known place and length."""

    def __init__(self, bundle: Bundle, number: int) -> None:
        checkpoints, self._frame_bytes = _segments_of(bundle, number)
        super().__init__(bundle.path, Access.ZSTD, checkpoints)

    def _decode(self, index: int, checkpoint: Checkpoint) -> bytes:
        return decompress_frames(self._pread(checkpoint.blob_offset, self._frame_bytes[index]), checkpoint.length)


def _segments_of(bundle: Bundle, number: int) -> tuple[list[Checkpoint], list[int]]:
    """Return the checkpoints of a layer, and the length of each frame."""
    table: mmap.mmap = bundle.map_table("segments")
    try:
        rows = [row for row in SEGMENT.iter_unpack(table[:]) if row[0] == number]
    except struct_error as error:
        raise CorruptStore(str(bundle.path), "its table of segments is damaged") from error
    finally:
        table.close()
    for _, _, _, offset, length, frame_bytes in rows:
        if length > SEGMENT_BYTES_MAX or offset + frame_bytes > bundle.header.file_bytes:
            raise CorruptStore(str(bundle.path), "a segment is outside the bundle")
    checkpoints = [Checkpoint(tar_offset, offset, crc, length) for _, crc, tar_offset, offset, length, _ in rows]
    return checkpoints, [row[5] for row in rows]

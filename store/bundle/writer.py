"""Writing a bundle: an image of a store as one file that runs in place (docs/format.md §10).

Rules:
1. Layers are written as zstd tars of many frames: blobs that have that form are copied unchanged, all others are framed
   again. Diff IDs, config and image ID stay unchanged; the manifest changes only for the blobs that were framed again.
2. The header is written last, and the file has no name until then (`outfile`): a bundle is complete or absent.
3. The same image gives the same bytes (for one version of zstd).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from rootlay.store.bundle.format import ALIGNMENT, HEADER_BYTES, BundleHeader, Table
from rootlay.store.bundle.reader import OFFSET, RUN, SEGMENT, SPARSE_HEAD
from rootlay.store.codec.segment import Checkpoint
from rootlay.store.codec.zstdframes import FrameWriter
from rootlay.store.disk.outfile import output_file
from rootlay.store.disk.regularfile import iter_regular
from rootlay.store.layer.layer import Layer
from rootlay.store.layer.writer import BLOB_LEVEL
from rootlay.store.layout.blobcheck import check_present
from rootlay.store.layout.layout import LAYOUT_VERSION
from rootlay.store.model.access import Access
from rootlay.store.model.digest import Digest
from rootlay.store.model.image import Image
from rootlay.store.model.jsonfield import dump
from rootlay.store.model.manifest import (
    CONTAINERD_NAME,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
    REF_NAME,
    Descriptor,
    Index,
    Manifest,
)
from rootlay.store.model.progress import Meter, Progress, silent
from rootlay.store.model.value import replace
from rootlay.store.tar.archive import blob_name
from rootlay.store.view.build import build_view, view_path, write_whole_view
from rootlay.store.view.delta import DeltaHeader, read_header
from rootlay.store.view.view import View

if TYPE_CHECKING:
    from rootlay.store.images.images import Images

_PIECE_BYTES = 1 << 20
_MODE = 0o777  # less the umask: its first line makes it executable


def write_bundle(store: Images, image: Image, out: Path, progress: Progress = silent) -> Digest:
    """Write `image` as the bundle `out`; replace a file of that name.

    Returns:
        The bundle's ID.

    Raises:
        CorruptStore, UnsupportedMedia: a layer of the image cannot be read.
        OSError: the file cannot be written; no part of it stays.
    """
    with store.layout.holding():
        store.layout.claim("view", (image.chain_id,))
        store.prepare(image, progress)
        check_present(store.layout, image.manifest)
        build_view(store, image.diff_ids)
        with store.layout.staging() as staging, output_file(out, _MODE) as stream:
            return _Writer(store, image, _whole_view(store, image, staging), stream, progress).run()


def _whole_view(store: Images, image: Image, staging: Path) -> Path:
    """Return the LMDB form of the image's view that is no delta: a bundle has no place for the base."""
    path = view_path(store.root, image.chain_id)
    if isinstance(read_header(path.with_suffix(".view")), DeltaHeader):
        return write_whole_view(store, image.diff_ids, staging)
    return path


class _Writer:
    """A bundle that is being written."""

    def __init__(self, store: Images, image: Image, view: Path, stream: BinaryIO, progress: Progress) -> None:
        self._store = store
        self._image = image
        self._view = view
        self._stream = stream
        self._label = image.references[0] if image.references else image.id.short
        self._files: dict[str, tuple[int, int]] = {}
        self._segments = bytearray()
        self._at = 0
        self._left = 0  # bytes of the current layer that the progress has not counted
        total = sum(layer.size for layer in image.manifest.layers)
        self._meter = Meter(progress, f"{self._label}: bundling", lambda: total)

    def run(self) -> Digest:
        """Write everything, in the order of the file."""
        self._emit(bytes(HEADER_BYTES))
        descriptors = self._layers()
        document = self._manifest(descriptors)
        self._documents(document)
        tables = {
            "files": self._table((dump(dict(self._files)),)),
            "view": self._table(self._native_view()),
            "contents": self._table(self._contents()),
            "segments": self._table((bytes(self._segments),)),
        }
        empty = Digest("sha256", "0" * 64)
        page = BundleHeader(self._at, len(self._image.diff_ids), tables, empty).pack()
        self._stream.seek(0)
        self._stream.write(page)
        self._stream.flush()
        return BundleHeader.parse(page, self._label).id

    def _emit(self, data: bytes) -> None:
        self._stream.write(data)
        self._at += len(data)
        self._count(min(self._left, len(data)))

    def _count(self, size: int) -> None:
        """Report bytes of the layers. A layer that is compressed again counts with the size that it had."""
        if size:
            self._left -= size
            self._meter.add(size)

    def _file(self, path: str, chunks: Iterable[bytes]) -> None:
        start = self._at
        for chunk in chunks:
            self._emit(chunk)
        self._files[path] = (start, self._at - start)

    def _table(self, chunks: Iterable[bytes]) -> Table:
        self._emit(bytes(-self._at % ALIGNMENT))
        start, digest = self._at, hashlib.sha256()
        for chunk in chunks:
            digest.update(chunk)
            self._emit(chunk)
        if self._at == start:  # an empty range cannot be mapped
            digest.update(b"\0")
            self._emit(b"\0")
        return Table(start, self._at - start, digest.digest())

    def _layers(self) -> list[Descriptor]:
        """Write the blobs, and their segments. Returns the layers' descriptors, base first."""
        found = []
        for number, (descriptor, diff_id) in enumerate(
            zip(self._image.manifest.layers, self._image.diff_ids, strict=True)
        ):
            layer = self._store.layer(diff_id)
            self._left = descriptor.size
            try:
                found.append(self._layer(number, layer, descriptor))
            finally:
                layer.close()
            self._count(self._left)
        return found

    def _layer(self, number: int, layer: Layer, descriptor: Descriptor) -> Descriptor:
        if layer.meta.access is Access.ZSTD and layer.meta.blob == descriptor.digest:
            checkpoints, size = list(layer.iter_checkpoints()), layer.data_path.stat().st_size
            start = self._blob(descriptor.digest, iter_regular(layer.data_path, follow=True))
        else:
            # The digest, and so the name, is known only at the end; the place is the current position.
            frames, digest, start = FrameWriter(BLOB_LEVEL), hashlib.sha256(), self._at
            for piece in _frame(frames, layer.iter_tar()):
                digest.update(piece)
                self._emit(piece)
            checkpoints, size = list(frames.log.finish()), self._at - start
            descriptor = Descriptor(OCI_LAYER_ZSTD, Digest("sha256", digest.hexdigest()), size)
            self._files[blob_name(descriptor.digest)] = (start, size)
        self._add_segments(number, checkpoints, start, size)
        return descriptor

    def _blob(self, digest: Digest, chunks: Iterable[bytes]) -> int:
        """Write a blob, unless it is there. Returns its place."""
        name = blob_name(digest)
        if name not in self._files:
            self._file(name, chunks)
        return self._files[name][0]

    def _add_segments(self, number: int, checkpoints: list[Checkpoint], start: int, size: int) -> None:
        ends = [c.blob_offset for c in checkpoints[1:]] + [size]
        for c, end in zip(checkpoints, ends, strict=True):
            self._segments += SEGMENT.pack(
                number, c.crc32, c.tar_offset, start + c.blob_offset, c.length, end - c.blob_offset
            )

    def _manifest(self, layers: list[Descriptor]) -> bytes:
        if layers == list(self._image.manifest.layers):
            return self._store.layout.read_blob(self._image.manifest_digest)
        return Manifest(OCI_MANIFEST, self._image.manifest.config, tuple(layers)).to_bytes()

    def _documents(self, manifest: bytes) -> None:
        """Write config, manifest, `index.json`, `oci-layout`."""
        config = self._image.manifest.config.digest
        self._blob(config, (self._store.layout.read_blob(config),))
        digest = Digest.of(manifest)
        self._blob(digest, (manifest,))
        plain = Descriptor(Manifest.parse(manifest, "manifest").media_type, digest, len(manifest))
        names = [{CONTAINERD_NAME: name, REF_NAME: name} for name in self._image.references] or [{}]
        index = Index(tuple(replace(plain, annotations=annotations) for annotations in names))
        self._file("index.json", (index.to_bytes(),))
        self._file("oci-layout", (dump({"imageLayoutVersion": LAYOUT_VERSION}),))

    def _native_view(self) -> Iterator[bytes]:
        yield from iter_regular(self._view.with_suffix(".view"), follow=True)

    def _contents(self) -> Iterator[bytes]:
        """Write the place of each entry's content in its layer's tar; then the sparse maps."""
        view = View.open(self._view)
        try:
            offsets = bytearray(OFFSET.size * (view.entries + 1))
            sparse = bytearray()
            for _, _, node in view.iter_nodes():
                OFFSET.pack_into(offsets, OFFSET.size * node.id, node.offset)
                if node.sparse is not None:
                    sparse += SPARSE_HEAD.pack(node.id, len(node.sparse))
                    for run in node.sparse:
                        sparse += RUN.pack(*run)
        finally:
            view.close()
        for table in (offsets, sparse):
            for at in range(0, len(table), _PIECE_BYTES):
                yield bytes(table[at : at + _PIECE_BYTES])


def _frame(frames: FrameWriter, chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield from frames.write(chunk)
    yield from frames.finish()

"""Import of one layer into the store, in one streaming pass: decompress, verify, parse, index.

Rules:
1. Both digests are verified before anything is published: that of the blob and that of the tar (the diff ID).
2. A blob with a digest that is recorded elsewhere is kept bit for bit. It is read in place if possible (plain tar, gzip
   with checkpoints, zstd of many frames), and gets a pack if not.
3. A blob without a recorded digest (a plain tar, an xz) may be framed again into our zstd form: a quarter of the space
   of a tar, and still read in place. gzip is kept: compressing it again gains nothing.
4. Memory: the chunks in flight, the index, one gzip window for each MiB of tar (about 10 KiB compressed).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from rootlay.store.codec.bytestream import ByteStream, iter_file
from rootlay.store.codec.codec import Compression, Decoder, decompress, open_codec, peek, sniff
from rootlay.store.codec.segment import SEGMENT_BYTES_MAX, CheckpointTable
from rootlay.store.codec.zstdframes import FrameWriter
from rootlay.store.layer.index import write_layer_index
from rootlay.store.layer.tree import LayerTree
from rootlay.store.layer.writer import BLOB_LEVEL, WrittenLayer
from rootlay.store.layout.layerfiles import INDEX_NAME, PACK_NAME, LayerMeta
from rootlay.store.layout.layout import Layout
from rootlay.store.layout.partialblob import PartialBlob
from rootlay.store.layout.stagedblob import LinkedBlob, StagedBlob
from rootlay.store.model.access import Access
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import CorruptStore, DigestMismatch, NotAnArchive, RootlayError, TruncatedArchive
from rootlay.store.model.limits import Budget
from rootlay.store.model.manifest import OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, Descriptor
from rootlay.store.model.value import value
from rootlay.store.tar.reader import TarReader

# A pack is a cache that can be rebuilt: speed before size.
PACK_LEVEL = 1
# Longer zstd frames are not worth decompressing for one small file.
_ZSTD_SEGMENT_BYTES_MAX = 8 << 20
# A batch that makes the cost of counting negligible.
_ENTRIES_STEP = 256

_MEDIA_TYPES = {
    Compression.NONE: OCI_LAYER,
    Compression.GZIP: OCI_LAYER_GZIP,
    Compression.ZSTD: OCI_LAYER_ZSTD,
}

Report = Callable[[int], None]


@value
class LayerSource:
    """A layer to import, and the promises about it."""

    what: str  # for messages
    chunks: Iterable[bytes]
    descriptor: Descriptor | None = None  # the blob's; None: its digest is not recorded
    diff_id: Digest | None = None
    link: Path | None = None  # the place of the blob, if it is to stay there
    partial: Path | None = None  # the growing blob, kept if the import ends early (see `partialblob`)
    needs_end: bool = False  # nothing is promised, so a tar without its end marker counts as truncated


class _Packer:
    """A writer that frames a tar again into a staged file."""

    def __init__(self, path: Path, level: int) -> None:
        self.blob = StagedBlob(path)
        self.frames = FrameWriter(level)

    def write(self, data: bytes) -> None:
        for piece in self.frames.write(data):
            self.blob.write(piece)

    def finish(self) -> tuple[Digest, CheckpointTable]:
        for piece in self.frames.finish():
            self.blob.write(piece)
        return self.blob.finish(), self.frames.log.finish()


class _Pass:
    """The one pass over a layer, and its results."""

    def __init__(self, staging: Path, source: LayerSource, budget: Budget, report: Report, stack: ExitStack) -> None:
        """Read the head of the source. `stack` closes the files that are opened."""
        self._budget = budget
        head, chunks = peek(source.chunks)
        self.source = source
        self.compression = sniff(head, source.what)
        self.kept = source.descriptor is not None or self.compression in (Compression.GZIP, Compression.ZSTD)
        self.raw: StagedBlob | None = None
        if source.link is not None:
            self.raw = LinkedBlob(staging / "blob", source.link)
        elif source.partial is not None:
            self.raw = PartialBlob(source.partial)
        elif self.kept:
            self.raw = StagedBlob(staging / "blob")
        self._raw_bytes = 0
        if self.raw is not None:
            stack.callback(self.raw.finish)
        self._report = report
        self._chunks = self._tee(chunks)
        self.decoder: Decoder = open_codec(self._chunks, source.what, staging)
        self.packer: _Packer | None = None
        if not self.kept:
            self.packer = _Packer(staging / "framed", BLOB_LEVEL)
        elif self.decoder.log is None:
            self.packer = _Packer(staging / PACK_NAME, PACK_LEVEL)
        if self.packer is not None:
            stack.callback(self.packer.blob.finish)
        self._stack = stack
        self.tree = LayerTree(scratch=staging)
        self.content_bytes = 0
        self.tar_bytes = 0
        self._tar_hash = hashlib.sha256()

    def pack_later(self, path: Path, level: int) -> _Packer:
        """Start a packer after the pass."""
        self.packer = _Packer(path, level)
        self._stack.callback(self.packer.blob.finish)
        return self.packer

    def _tee(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._raw_bytes += len(chunk)
            if self.raw is not None:
                self.raw.write(chunk)
            self._report(self._raw_bytes)
            yield chunk

    def _hashed(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._tar_hash.update(chunk)
            self.tar_bytes += len(chunk)
            self._budget.take_bytes(len(chunk), self.source.what)
            self._budget.check_ratio(self._raw_bytes, self.tar_bytes, self.source.what)
            if self.packer is not None:
                self.packer.write(chunk)
            yield chunk

    def run(self) -> None:
        """Read everything. Raises RootlayError; a wrong digest has priority over the errors that it causes."""
        try:
            self._parse()
        except RootlayError as error:
            # If the source itself failed there is nothing left to verify.
            if error.fault == "image" and self.raw is not None and self.source.descriptor is not None:
                for _ in self._chunks:
                    pass
                self._verify_blob()
            raise
        self._verify_blob()
        if self.source.diff_id is not None and self.source.diff_id != self.diff_id:
            raise DigestMismatch(f"{self.source.what}: diff ID", self.source.diff_id, self.diff_id)

    def _parse(self) -> None:
        stream = ByteStream(self._hashed(self.decoder.chunks))
        reader = TarReader(stream, self.source.what)
        uncounted = 0
        for name, entry in reader:
            self.tree.add(name, entry)
            self.content_bytes += entry.stored_bytes
            uncounted += 1
            if uncounted == _ENTRIES_STEP:
                self._budget.take_entries(uncounted, self.source.what)
                uncounted = 0
        self._budget.take_entries(uncounted, self.source.what)
        self.tree.finish()
        stream.drain()
        for _ in self._chunks:
            pass
        if self.source.needs_end and not self.tar_bytes:
            raise NotAnArchive(self.source.what, "empty")
        if self.source.needs_end and not reader.ended:
            raise TruncatedArchive(self.source.what, "the end marker of the tar is missing")

    def _verify_blob(self) -> None:
        promised = self.source.descriptor
        if promised is None or self.raw is None:
            return
        digest = self.raw.finish()
        if promised.digest.algorithm == "sha256" and digest != promised.digest:
            raise DigestMismatch(self.source.what, promised.digest, digest)
        if self.raw.size != promised.size:
            raise DigestMismatch(f"{self.source.what}: size", promised.size, self.raw.size)

    @property
    def diff_id(self) -> Digest:
        """The digest of the tar that was read."""
        return Digest("sha256", self._tar_hash.hexdigest())


def ingest_layer(layout: Layout, source: LayerSource, report: Report = lambda done_bytes: None) -> WrittenLayer:
    """Import one layer: blob and index. Durable, idempotent; nothing is visible until both are complete and verified.

    Args:
        report: called with the number of blob bytes read so far.

    Raises:
        NotAnArchive, TruncatedArchive, UnsupportedMedia, UnsafePath, DigestMismatch, TooLarge: the layer is bad.
        StoreNotWritable, DiskFull: the store is unchanged.
    """
    with layout.staging() as staging, ExitStack() as stack:
        done = _Pass(staging, source, layout.budget, report, stack)
        done.run()
        written = _publish(layout, staging, done)
        done.tree = LayerTree()  # the pass and its generators refer to each other: they stay until the next collection
        return written


def _publish(layout: Layout, staging: Path, done: _Pass) -> WrittenLayer:
    """Choose the access to the content, write the index, move everything into place."""
    access, checkpoints, names = _access(staging, done)
    if access is Access.ZSTD and done.packer is not None:
        blob, digest, media_type = done.packer.blob, done.packer.blob.finish(), OCI_LAYER_ZSTD
    elif done.raw is not None:
        blob, digest, media_type = done.raw, done.raw.finish(), _MEDIA_TYPES.get(done.compression, OCI_LAYER)
    else:
        raise CorruptStore(done.source.what, "no blob was written")
    descriptor = done.source.descriptor or Descriptor(media_type, digest, blob.size)
    meta = LayerMeta(
        done.diff_id,
        descriptor.digest,
        descriptor.media_type,
        len(done.tree),
        done.tar_bytes,
        done.content_bytes,
        access,
        done.tree.lower_links,
    )
    known = layout.has_layer(done.diff_id)
    if not known:
        write_layer_index(staging / INDEX_NAME, done.tree, checkpoints, meta)
    layout.publish_blob(blob.path, descriptor.digest)
    if not known:
        layout.publish_layer(staging, done.diff_id, (*names, INDEX_NAME))
    return WrittenLayer(done.diff_id, descriptor)


def _access(staging: Path, done: _Pass) -> tuple[Access, CheckpointTable, tuple[str, ...]]:
    """Return the access, its checkpoints, and the files to store next to the index."""
    log = done.decoder.log
    in_place = done.decoder.access
    if not done.kept and done.packer is not None:
        return Access.ZSTD, done.packer.finish()[1], ()
    if done.packer is None and log is not None and in_place is not None:
        checkpoints = log.finish()
        limit = _ZSTD_SEGMENT_BYTES_MAX if in_place is Access.ZSTD else SEGMENT_BYTES_MAX
        if log.longest <= limit:
            return in_place, checkpoints, ()
        _repack(staging, done)
    if done.packer is None:
        raise CorruptStore(done.source.what, "no pack was written")
    checkpoints = done.packer.finish()[1]
    if done.packer.blob.path.name == PACK_NAME:
        return Access.PACK, checkpoints, (PACK_NAME,)
    return Access.ZSTD, checkpoints, ()


def _repack(staging: Path, done: _Pass) -> None:
    """Make a pack in a second pass, over the staged blob: only now is it known that it cannot be read in place."""
    if done.raw is None:
        raise CorruptStore(done.source.what, "no blob was written")
    free = done.source.descriptor is None and done.compression is Compression.ZSTD
    packer = done.pack_later(staging / ("framed" if free else PACK_NAME), BLOB_LEVEL if free else PACK_LEVEL)
    with open(done.raw.path, "rb") as stream:
        for chunk in decompress(iter_file(stream), done.source.what):
            packer.write(chunk)

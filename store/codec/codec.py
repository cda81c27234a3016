"""From the bytes of a blob to the bytes of its tar: detection of the compression, decompression, random access.

The compression is detected by its magic number: media types and file names may be wrong. To add a codec, add a row to
`sniff` and a branch to `open_codec`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from rootlay.store.codec.gzipindexer import GzipIndexer
from rootlay.store.codec.gzipstream import GZIP_MAGIC, GzipStream
from rootlay.store.codec.libz import load
from rootlay.store.codec.segment import SEGMENT_BYTES, SegmentLog
from rootlay.store.codec.zstdframes import ZstdIndexer, is_zstd
from rootlay.store.model.access import Access
from rootlay.store.model.errors import NotAnArchive, TruncatedArchive, UnsupportedMedia
from rootlay.store.model.value import value

if TYPE_CHECKING:
    from bz2 import BZ2Decompressor
    from lzma import LZMADecompressor

HEAD_BYTES = 512
_OUT_BYTES = 1 << 18
_XZ_MEMORY_BYTES = 128 << 20


class Compression(Enum):
    """The compression of a stream."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"
    XZ = "xz"
    BZIP2 = "bzip2"


_UNSUPPORTED = {
    b"\x04\x22\x4d\x18": "lz4",
    b"\x1f\x9d": "compress (.Z)",
    b"LZIP": "lzip",
    b"PK\x03\x04": "zip",
    b"7z\xbc\xaf": "7z",
    b"hsqs": "squashfs",
    b"070701": "cpio",
    b"SIF_MAGIC": "SIF",
}


def sniff(head: bytes, what: str) -> Compression:
    """Return the compression of a stream that starts with `head`. Raises UnsupportedMedia for an unknown one."""
    if head.startswith(GZIP_MAGIC):
        return Compression.GZIP
    if is_zstd(head):
        return Compression.ZSTD
    if head.startswith(b"\xfd7zXZ\0"):
        return Compression.XZ
    if head.startswith(b"BZh") and head[4:10] in (b"1AY&SY", b"\x17rE8P\x90"):
        return Compression.BZIP2
    for magic, name in _UNSUPPORTED.items():
        if head.startswith(magic):
            raise UnsupportedMedia(what, f"{name} is not supported: use tar, gzip, zstd, xz or bzip2")
    return Compression.NONE


def peek(chunks: Iterable[bytes], count: int = HEAD_BYTES) -> tuple[bytes, Iterator[bytes]]:
    """Return the first `count` bytes (fewer if there are no more), and an iterator over everything."""
    rest = iter(chunks)
    head = b""
    while len(head) < count:
        chunk = next(rest, None)
        if chunk is None:
            break
        head += chunk
    return head[:count], chain((head,), rest) if head else rest


@value
class Decoder:
    """A stream that is being decompressed. After the end of `chunks`, `log` has the segments to read in place."""

    compression: Compression
    chunks: Iterator[bytes]
    log: SegmentLog | None  # None: there will be none, a pack is needed

    @property
    def access(self) -> Access | None:
        """The access to the blob in place; None if it has none."""
        if self.log is None:
            return None
        return {
            Compression.NONE: Access.TAR,
            Compression.GZIP: Access.GZIP,
            Compression.ZSTD: Access.ZSTD,
        }[self.compression]


def open_codec(chunks: Iterable[bytes], what: str, scratch: Path | None = None) -> Decoder:
    """Start decompressing a stream of unknown compression. Raises UnsupportedMedia; iterating raises NotAnArchive and
    TruncatedArchive. For `scratch` see CheckpointTable."""
    head, rest = peek(chunks)
    compression = sniff(head, what)
    log = SegmentLog(scratch)
    if compression is Compression.NONE:
        return Decoder(compression, _iter_plain(rest, log), log)
    if compression is Compression.GZIP:
        libz = load()
        if libz is not None:
            return Decoder(compression, iter(GzipIndexer(libz, rest, what, log)), log)
        return Decoder(compression, iter(GzipStream(rest, what)), None)
    if compression is Compression.ZSTD:
        return Decoder(compression, iter(ZstdIndexer(rest, what, log)), log)
    return Decoder(compression, _iter_streams(rest, compression, what), None)


def decompress(chunks: Iterable[bytes], what: str) -> Iterator[bytes]:
    """Yield the uncompressed bytes, without random access. Raises as `open_codec`."""
    head, rest = peek(chunks)
    compression = sniff(head, what)
    if compression is Compression.NONE:
        return rest
    if compression is Compression.GZIP:
        return iter(GzipStream(rest, what))
    if compression is Compression.ZSTD:
        return iter(ZstdIndexer(rest, what, SegmentLog()))
    return _iter_streams(rest, compression, what)


def _iter_plain(chunks: Iterable[bytes], log: SegmentLog) -> Iterator[bytes]:
    """Yield an uncompressed tar, in segments so that damage is detected."""
    for chunk in chunks:
        if not log.started or log.current_bytes >= SEGMENT_BYTES:
            log.begin(log.tar_offset)
        log.feed(chunk)
        yield chunk


def _iter_streams(chunks: Iterable[bytes], compression: Compression, what: str) -> Iterator[bytes]:
    """Decompress xz or bzip2, possibly several streams in a row, with bounded memory."""
    from lzma import LZMAError

    stream = _new_stream(compression)
    ended = False
    for chunk in chunks:
        data = chunk
        while data or (not ended and not stream.needs_input):
            if ended:
                data = data.lstrip(b"\0")  # stream padding
                if not data:
                    break
                stream, ended = _new_stream(compression), False
            try:
                out = stream.decompress(data, _OUT_BYTES)
            except (LZMAError, OSError) as error:
                raise NotAnArchive(what, f"damaged {compression.value} stream: {error}") from error
            if out:
                yield out
            ended = stream.eof
            data = stream.unused_data if ended else b""
    if not ended:
        raise TruncatedArchive(what, f"the {compression.value} stream ends early")


def _new_stream(compression: Compression) -> LZMADecompressor | BZ2Decompressor:
    if compression is Compression.XZ:
        from lzma import LZMADecompressor

        return LZMADecompressor(memlimit=_XZ_MEMORY_BYTES)
    from bz2 import BZ2Decompressor

    return BZ2Decompressor()

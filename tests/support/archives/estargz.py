"""eStargz blobs (containerd/stargz-snapshotter, docs/estargz.md) out of ordinary tars: no tool of Debian's makes them.

A gzip of many members: one starts at each chunk of each file; the last ones are the table of contents (a tar entry of
its own, so that the diff ID is another one than the source's) and a footer that says where that is.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tarfile
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime

TOC_NAME = "stargz.index.json"
LANDMARK = ".no.prefetch.landmark"
TOC_ANNOTATION = "containerd.io/snapshot/stargz/toc.digest"
SIZE_ANNOTATION = "io.containers.estargz.uncompressed-size"
_TYPES = {tarfile.REGTYPE: "reg", tarfile.DIRTYPE: "dir", tarfile.SYMTYPE: "symlink", tarfile.LNKTYPE: "hardlink"}
_TYPES |= {tarfile.CHRTYPE: "char", tarfile.BLKTYPE: "block", tarfile.FIFOTYPE: "fifo"}


@dataclass(frozen=True)
class EStargz:
    """The blob, the tar in it, and the annotations that its descriptor has."""

    blob: bytes
    tar: bytes
    annotations: dict[str, str]


class _Writer:
    """Gzip members one after the other."""

    def __init__(self) -> None:
        self.out = bytearray()
        self.tar = bytearray()
        self._pending = bytearray()

    def write(self, data: bytes) -> None:
        self._pending += data
        self.tar += data

    def cut(self) -> int:
        """End the member at hand; where the next one starts."""
        if self._pending:
            packer = zlib.compressobj(6, zlib.DEFLATED, 31)
            self.out += packer.compress(bytes(self._pending)) + packer.flush()
            self._pending.clear()
        return len(self.out)


def make_estargz(source: bytes, chunk_bytes: int = 4 << 20) -> EStargz:
    """An eStargz of the tar `source`."""
    writer = _Writer()
    entries: list[dict[str, object]] = []
    with tarfile.open(fileobj=io.BytesIO(source)) as tar:
        landmark = tarfile.TarInfo(LANDMARK)
        landmark.size = 1
        for member, content in ((landmark, b"\xf0"), *((m, _content(tar, m)) for m in tar)):
            writer.write(member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
            entries += _add(writer, member, content, chunk_bytes)
    toc = json.dumps({"version": 1, "entries": entries}).encode()
    position = writer.cut()
    header = tarfile.TarInfo(TOC_NAME)
    header.size = len(toc)
    header.mode = 0  # as Go's zero value has it
    writer.write(header.tobuf() + toc + bytes(-len(toc) % 512) + bytes(1024))
    writer.cut()
    annotations = {
        TOC_ANNOTATION: "sha256:" + hashlib.sha256(toc).hexdigest(),
        SIZE_ANNOTATION: str(len(writer.tar)),
    }
    return EStargz(bytes(writer.out) + _footer(position), bytes(writer.tar), annotations)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member) if member.isreg() else None
    return stream.read() if stream is not None else b""


def _add(writer: _Writer, member: tarfile.TarInfo, content: bytes, chunk_bytes: int) -> list[dict[str, object]]:
    moment = datetime.fromtimestamp(int(member.mtime), UTC)
    entry: dict[str, object] = {
        "name": member.name + ("/" if member.isdir() else ""),
        "type": _TYPES[member.type],
        "mode": member.mode,
        "uid": member.uid,
        "gid": member.gid,
        "modtime": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if member.linkname:
        entry["linkName"] = member.linkname
    if member.ischr() or member.isblk():
        entry |= {"devMajor": member.devmajor, "devMinor": member.devminor}
    if not content:
        return [entry]
    entry |= {"size": len(content), "digest": _sha256(content)}
    found = []
    for start in range(0, len(content), chunk_bytes):
        chunk = content[start : start + chunk_bytes]
        entry |= {"offset": writer.cut(), "chunkOffset": start, "chunkDigest": _sha256(chunk)}
        if len(content) > chunk_bytes and start + chunk_bytes < len(content):
            entry["chunkSize"] = len(chunk)
        writer.write(chunk)
        found.append(entry)
        entry = {"name": member.name, "type": "chunk"}
    writer.write(bytes(-len(content) % 512))
    return found


def _sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _footer(position: int) -> bytes:
    """51 bytes: an empty member whose extra field says where the member of the table of contents starts."""
    field = b"SG" + struct.pack("<H", 22) + b"%016xSTARGZ" % position
    head = b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff" + struct.pack("<H", len(field)) + field
    return head + b"\x01\x00\x00\xff\xff" + bytes(8)

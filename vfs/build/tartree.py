"""A tar archive as a tree to copy from: a build context that comes as an archive.

Rules:
1. Compressed archives are decompressed once, into a file; content is read from there. Nothing else is extracted.
2. Later entries replace earlier ones; missing directories are there with 0755, owned by root; names cannot lead out.
3. A name below a link of the archive lies where the link leads, as if the archive had been extracted into an empty
   directory.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from rootlay.store.bytestream import ByteStream
from rootlay.store.codec import decompress
from rootlay.store.content import ContentReader
from rootlay.store.entry import TYPE_BITS, Entry, EntryType, Xattrs
from rootlay.store.errors import NotAnArchive, TruncatedArchive, UnsafePath, UnsupportedMedia
from rootlay.store.tarreader import TarReader
from rootlay.vfs.build.source import SourceEntry, join, resolve

_IMPLICIT = Entry(EntryType.DIRECTORY, mode=0o755)


@dataclass(slots=True)
class _Node:
    """One object of the tree; hard links share one."""

    entry: Entry
    children: dict[bytes, _Node] = field(default_factory=dict)
    names: int = 1

    @property
    def is_directory(self) -> bool:
        return self.entry.type is EntryType.DIRECTORY


def is_archive(chunks: Iterable[bytes]) -> bool:
    """Whether content is a tar, compressed or not, with at least one entry. Reads no further than that."""
    try:
        return next(iter(TarReader(ByteStream(decompress(chunks, "")), "")), None) is not None
    except (NotAnArchive, TruncatedArchive, UnsupportedMedia):
        return False


class TarTree:
    """The tree. Close it: it keeps the plain archive open.

    Args:
        chunks: the archive, compressed or not.
        scratch: an existing directory for a temporary file, which has no name (nothing to remove after a crash).
        what: the archive's name for messages.

    Raises:
        NotAnArchive, TruncatedArchive, UnsupportedMedia: it cannot be read.
        UnsafePath: a name that no file system can hold.
    """

    def __init__(self, chunks: Iterable[bytes], scratch: Path, what: str) -> None:
        self._what = what
        self._file = os.open(scratch, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self._root = _Node(_IMPLICIT)
        try:
            for name, entry in TarReader(ByteStream(self._kept(decompress(chunks, what))), what):
                self._add(name, entry)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    # ---- a tree to copy from

    def lstat(self, path: bytes) -> SourceEntry | None:
        node = self._find(path)
        if node is None:
            return None
        entry = node.entry
        return SourceEntry(
            TYPE_BITS[entry.type] | entry.mode, entry.uid, entry.gid, entry.size, entry.mtime_ns,
            (entry.major, entry.minor), id(node) if node.names > 1 else None,
        )  # fmt: skip

    def readlink(self, path: bytes) -> bytes:
        return self._get(path).entry.link

    def listdir(self, path: bytes) -> list[bytes]:
        return sorted(self._get(path).children)

    def xattrs(self, path: bytes) -> Xattrs:
        return tuple(sorted(self._get(path).entry.xattrs))

    def open(self, path: bytes) -> BinaryIO:
        return io.BufferedReader(ContentReader(self, self._get(path).entry))

    def read_some(self, tar_offset: int, count: int) -> memoryview:
        """Bytes of the plain archive: what ContentReader needs."""
        data = os.pread(self._file, count, tar_offset)
        if not data:
            raise TruncatedArchive(self._what)
        return memoryview(data)

    # ---- building

    def _kept(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Write what passes."""
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                view = view[os.write(self._file, view) :]
            yield chunk

    def _add(self, name: bytes, entry: Entry) -> None:
        parts = [part for part in name.split(b"/") if part not in (b"", b".")]
        if b".." in parts or b"\0" in name:
            raise UnsafePath(name, "it leads out of the archive")
        if not parts:
            if entry.type is EntryType.DIRECTORY:
                self._root.entry = entry
            return
        parent = self._make_directory(b"/" + b"/".join(parts[:-1]))
        last = parts[-1]
        if entry.type is EntryType.HARDLINK:
            directory, _, link_name = (b"/" + entry.link.strip(b"/")).rpartition(b"/")
            target = self._find(join(resolve(self, directory), link_name))  # a link there is not followed
            if target is None or target.is_directory:
                raise UnsafePath(name, "a hard link to what is not in the archive before it")
            if parent.children.get(last) is not target:
                target.names += 1
                parent.children[last] = target
            return
        before = parent.children.get(last)
        if before is not None and before.is_directory and entry.type is EntryType.DIRECTORY:
            before.entry = entry
            return
        parent.children[last] = _Node(entry)

    def _make_directory(self, path: bytes) -> _Node:
        """The directory of a path, links followed; what is missing is made, what is no directory replaced."""
        node = self._root
        for part in resolve(self, path).split(b"/"):
            if not part:
                continue
            child = node.children.get(part)
            if child is None or not child.is_directory:
                child = node.children[part] = _Node(_IMPLICIT)
            node = child
        return node

    def _find(self, path: bytes) -> _Node | None:
        node: _Node | None = self._root
        for part in path.split(b"/"):
            if part and node is not None:
                node = node.children.get(part)
        return node

    def _get(self, path: bytes) -> _Node:
        node = self._find(path)
        if node is None:
            raise FileNotFoundError(path)
        return node

"""The files of an image archive (docker-archive, OCI layout), from a tar or from a directory.

Rules:
1. Nothing is extracted: a tar is scanned once, its members are then read in place.
2. Links are resolved only inside the archive (docker-archives have `layer.tar` links to one another). A path that
   leaves it is refused.
3. The maker of a directory may still be changing it: files are opened as in `rootlay.store.disk.regularfile`, and read
   only up to the promised size.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from rootlay.store.codec.bytestream import CHUNK_BYTES
from rootlay.store.disk.beneath import Place, beneath
from rootlay.store.disk.regularfile import iter_regular, open_regular
from rootlay.store.model.entry import EntryType
from rootlay.store.model.errors import BadManifest, DigestMismatch, NotAnArchive, TruncatedArchive
from rootlay.store.model.jsonfield import DOCUMENT_BYTES_MAX
from rootlay.store.model.manifest import Descriptor
from rootlay.store.tar.names import normalise
from rootlay.store.tar.reader import TarReader

_MEMBERS_MAX = 100_000
_LINKS_MAX = 16


class ImageFiles(Protocol):
    """Read-only files by path. Close it."""

    what: str

    def has(self, path: str) -> bool:
        """Return whether there is a file of that path."""

    def size(self, path: str) -> int:
        """Return its size in bytes. Raises BadManifest if it is missing."""

    def iter_chunks(self, path: str) -> Iterator[bytes]:
        """Yield its content. Raises BadManifest, TruncatedArchive, UnsafePath."""

    def close(self) -> None:
        """Close the files. Idempotent."""


def read_document(files: ImageFiles, path: str) -> bytes:
    """Return a small file. Raises BadManifest if it is missing or long."""
    size = files.size(path)
    if size > DOCUMENT_BYTES_MAX:
        raise BadManifest(f"{files.what}: {path}", f"longer than {DOCUMENT_BYTES_MAX} bytes")
    return b"".join(promised(files.iter_chunks(path), size, f"{files.what}: {path}"))


def blob_chunks(files: ImageFiles, blob: Descriptor) -> Iterator[bytes]:
    """Yield the content of a blob of an OCI layout; nothing is read of one that is longer than its descriptor states.

    Raises DigestMismatch, and as `ImageFiles.iter_chunks`.
    """
    path = blob_name(blob.digest)
    size = files.size(path)
    if size > blob.size:
        raise DigestMismatch(f"{files.what}: {path}: size", blob.size, size)
    yield from promised(files.iter_chunks(path), blob.size, f"{files.what}: {path}")


def promised(chunks: Iterable[bytes], size: int, what: str) -> Iterator[bytes]:
    """Yield the chunks, up to the promised size. Raises DigestMismatch."""
    left = size
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise DigestMismatch(f"{what}: size", size, f"at least {size - left}")
        yield chunk


def blob_name(digest: object) -> str:
    """Return the path of a blob in an OCI layout."""
    return "blobs/" + str(digest).replace(":", "/", 1)


class DirectoryFiles:
    """An unpacked archive."""

    def __init__(self, root: Path) -> None:
        self.what = str(root)
        self._root = root.resolve()

    @contextmanager
    def _place(self, path: str) -> Iterator[Place]:
        """Return the place of a file. Raises BadManifest if it is missing, UnsafePath."""
        try:
            with beneath(os.fsencode(self._root), normalise(os.fsencode(path)), self.what) as place:
                yield place
        except (FileNotFoundError, NotADirectoryError) as error:
            raise BadManifest(self.what, f"{path} is missing") from error

    def has(self, path: str) -> bool:
        """Return whether there is a file of that path. Raises NotARegularFile, UnsafePath, BadManifest (link cycle)."""
        try:
            with beneath(os.fsencode(self._root), normalise(os.fsencode(path)), self.what) as place:
                os.close(self._open(place, path))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def _open(self, place: Place, path: str) -> int:
        return open_regular(place.name, follow=False, dir_fd=place.directory, what=f"{self.what}: {path}")

    def size(self, path: str) -> int:
        """Return its size in bytes. Raises BadManifest if it is missing, NotARegularFile, UnsafePath."""
        with self._place(path) as place:
            descriptor = self._open(place, path)
            try:
                return os.fstat(descriptor).st_size
            finally:
                os.close(descriptor)

    def iter_chunks(self, path: str) -> Iterator[bytes]:
        """Yield its content, up to its length at opening. Raises BadManifest, NotARegularFile, UnsafePath."""
        with self._place(path) as place:
            yield from iter_regular(place.name, follow=False, dir_fd=place.directory, what=f"{self.what}: {path}")

    def close(self) -> None:
        """Do nothing: nothing is open."""


class LinkedFiles(DirectoryFiles):
    """An unpacked archive whose blobs stay in place."""

    def real_path(self, path: str) -> Path:
        """Return the real path of a file. Raises UnsafePath, BadManifest."""
        with self._place(path) as place:
            return self._root / os.fsdecode(place.path)


class _SeekableSource:
    """A ByteSource over a regular file: skipping costs a seek."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._size = stream.seek(0, io.SEEK_END)
        self.offset = stream.seek(0)

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer at the end."""
        data = self._stream.read(count)
        self.offset += len(data)
        return data

    def skip(self, count: int) -> int:
        """Skip `count` bytes."""
        step = min(count, self._size - self.offset)
        self.offset = self._stream.seek(self.offset + step)
        return step


class TarFiles:
    """An archive in an uncompressed tar."""

    def __init__(self, stream: BinaryIO, what: str) -> None:
        """Scan `stream` (a regular file, closed by `close`). Raises NotAnArchive, TruncatedArchive, UnsafePath."""
        self.what = what
        self._stream = stream
        self._files: dict[str, tuple[int, int]] = {}
        self._links: dict[str, str] = {}
        for raw_name, entry in TarReader(_SeekableSource(stream), what):
            path = os.fsdecode(normalise(raw_name))
            if len(self._files) + len(self._links) > _MEMBERS_MAX:
                raise NotAnArchive(what, f"it has more than {_MEMBERS_MAX} members: not an image archive")
            self._files.pop(path, None)
            self._links.pop(path, None)
            if entry.type is EntryType.FILE and entry.sparse is None:
                self._files[path] = (entry.offset, entry.size)
            elif entry.type is EntryType.HARDLINK:
                self._links[path] = os.fsdecode(normalise(entry.link))
            elif entry.type is EntryType.SYMLINK:
                self._links[path] = os.path.normpath(os.path.join(os.path.dirname(path), os.fsdecode(entry.link)))

    def _find(self, path: str) -> tuple[int, int] | None:
        path = os.fsdecode(normalise(os.fsencode(path)))
        for _ in range(_LINKS_MAX):
            if path not in self._links:
                break
            path = self._links[path]
        return self._files.get(path)

    def _get(self, path: str) -> tuple[int, int]:
        found = self._find(path)
        if found is None:
            raise BadManifest(self.what, f"{path} is missing")
        return found

    def has(self, path: str) -> bool:
        """Return whether there is a file of that path."""
        return self._find(path) is not None

    def size(self, path: str) -> int:
        """Return its size in bytes. Raises BadManifest if it is missing."""
        return self._get(path)[1]

    def iter_chunks(self, path: str) -> Iterator[bytes]:
        """Yield its content. Raises BadManifest, TruncatedArchive."""
        offset, left = self._get(path)
        while left:
            self._stream.seek(offset)
            chunk = self._stream.read(min(left, CHUNK_BYTES))
            if not chunk:
                raise TruncatedArchive(self.what)
            offset += len(chunk)
            left -= len(chunk)
            yield chunk

    def close(self) -> None:
        """Close the stream. Idempotent."""
        self._stream.close()

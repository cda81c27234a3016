"""ADD's archives: a tar, plain or compressed, extracted to the target as `tar -x` does.

Rules:
1. An archive is recognized by its content, not by its name: a tar whose first header is valid, plain or compressed by
   gzip, bzip2, xz or zstd. An empty file and a compressed file that is not a tar are copied unchanged.
2. Owners, modes, times, links and devices are the archive's, unless --chown and --chmod replace them.
3. The target is the root of all names and links, as for docker, which extracts in a chroot: `..` stops there, and a
   link to /etc means TARGET/etc. A name that leads through a link to a missing directory is an error.
4. The decompressed archive is kept in the store's `tmp/` until the layer is written, because content is read by
   position.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import BinaryIO

from rootlay.store.codec.bytestream import ByteStream, iter_file
from rootlay.store.codec.codec import decompress
from rootlay.store.disk.durable import create_file
from rootlay.store.model.entry import Entry, EntryType
from rootlay.store.model.errors import NotAnArchive, RootlayError, UnsafePath
from rootlay.store.model.value import replace
from rootlay.store.tar.header import BLOCK_BYTES, ZERO_BLOCK, checksum_fits
from rootlay.store.tar.reader import TarReader
from rootlay.vfs.build.context.source import SourceEntry, clean, join, resolve
from rootlay.vfs.build.copy.layerplan import Conflict, LayerPlan
from rootlay.vfs.build.copy.options import CopyOptions
from rootlay.vfs.build.copy.owner import Owner
from rootlay.vfs.build.copy.planentry import FileContent, Planned

Opener = Callable[[], BinaryIO]


def is_archive(open_content: Opener) -> bool:
    """Return whether a file is a tar, by its first block. Raises OSError."""
    with open_content() as stream:
        block = b""
        try:
            for piece in decompress(iter_file(stream), "archive"):
                block += piece
                if len(block) >= BLOCK_BYTES:
                    break
        except RootlayError:
            return False
    head = block[:BLOCK_BYTES]
    return len(head) == BLOCK_BYTES and (head == ZERO_BLOCK or checksum_fits(head))


class Unpacker:
    """The extraction of archives to a plan. `staging` holds decompressed archives until the plan is written."""

    def __init__(self, plan: LayerPlan, target: bytes, options: CopyOptions, staging: Path) -> None:
        self._plan = plan
        self._target = target
        self._options = options
        self._staging = staging
        self._sources: dict[Path, Callable[[bytes], BinaryIO]] = {}
        self._inside = _Inside(plan, target)
        self._directory = (b"", target)

    def unpack(self, open_content: Opener, what: str) -> None:
        """Add everything in an archive.

        Raises:
            NotAnArchive, TruncatedArchive, UnsafePath, UnsupportedMedia: the archive is damaged, or hostile.
            Conflict, OSError.
        """
        place = self._expand(open_content, what)
        owner = self._options.owner or Owner()
        self._plan.make_directories(self._target, owner.uid, owner.gid)
        with open(place, "rb") as stream:
            for name, entry in TarReader(ByteStream(iter_file(stream)), what):
                path = self._place(clean(name))
                if path != self._target:
                    self._add(path, entry, place, what)

    def _expand(self, open_content: Opener, what: str) -> Path:
        """Return the decompressed archive as a file."""
        place = self._staging / f"archive-{os.urandom(4).hex()}"
        with open_content() as source, open(create_file(place), "wb") as out:
            for piece in decompress(iter_file(source), what):
                out.write(piece)
        return place

    def _place(self, name: bytes) -> bytes:
        """Return the place of a name in the archive: links to its directory followed by rule 3, its own not.

        Raises Conflict: a link on the way leads to no directory.
        """
        directory, _, own = name.rpartition(b"/")
        if directory != self._directory[0]:
            self._directory = directory, self._follow(directory)
        return self._target if name == b"/" else join(self._directory[1], own)

    def _follow(self, directory: bytes) -> bytes:
        """Return the place of a directory in the archive."""
        place = b"/"
        for part in directory.split(b"/")[1:]:
            named = join(place, part)
            place = resolve(self._inside, named)
            found = self._inside.lstat(named)
            if (
                found is not None
                and stat.S_ISLNK(found.mode)
                and not self._plan.is_directory(self._inside.outer(place))
            ):
                raise Conflict(f"{os.fsdecode(self._inside.outer(named))} is a link to no directory")
        return self._inside.outer(place)

    def _add(self, path: bytes, entry: Entry, place: Path, what: str) -> None:
        parent = path.rpartition(b"/")[0] or b"/"
        owner = self._options.owner or Owner()
        self._plan.make_directories(parent, owner.uid, owner.gid)
        linked = entry.type is EntryType.HARDLINK
        planned = self._linked(entry, place, what) if linked else self._planned(entry, place)
        self._plan.replace(path, planned)
        if entry.type is not EntryType.FILE:
            self._directory = (b"", self._target)  # the new object might be on the way of the next name

    def _planned(self, entry: Entry, place: Path) -> Planned:
        mode = entry.mode
        if self._options.mode is not None and entry.type is not EntryType.SYMLINK:
            kind = stat.S_IFDIR if entry.type is EntryType.DIRECTORY else stat.S_IFREG
            mode = stat.S_IMODE(self._options.mode.apply(kind | mode))
        owner = self._options.owner or Owner(entry.uid, entry.gid)
        whole = replace(entry, mode=mode, uid=owner.uid, gid=owner.gid, offset=0)
        if entry.type is EntryType.DIRECTORY:
            return Planned(whole)
        identity = _identity(place, b"%d" % entry.offset)  # a later entry of the same name is another file
        if entry.type is not EntryType.FILE:
            return Planned(whole, identity=identity)
        content = FileContent(self._source(place), replace(entry, xattrs=()).pack())
        return Planned(replace(whole, sparse=None), content, identity=identity)

    def _source(self, place: Path) -> Callable[[bytes], BinaryIO]:
        if place not in self._sources:
            self._sources[place] = partial(_open_content, place)
        return self._sources[place]

    def _linked(self, entry: Entry, place: Path, what: str) -> Planned:
        found = self._plan.find_or_adopt(self._place(clean(entry.link)))
        if found is None or found.identity is None:
            raise UnsafePath(entry.link, f"a hard link to a name that neither {what} nor the image has")
        return found


class _Inside:
    """The planned tree below a directory, as a tree of its own."""

    def __init__(self, plan: LayerPlan, root: bytes) -> None:
        self._plan = plan
        self._root = root.rstrip(b"/")

    def outer(self, path: bytes) -> bytes:
        """Return a path of this tree as one of the image."""
        return self._root + path.rstrip(b"/") or b"/"

    def lstat(self, path: bytes) -> SourceEntry | None:
        return self._plan.lstat(self.outer(path))

    def readlink(self, path: bytes) -> bytes:
        return self._plan.readlink(self.outer(path))


def _identity(place: Path, entry: bytes = b"") -> bytes:
    return os.fsencode(place) + b"\0" + entry


def _open_content(place: Path, packed: bytes) -> BinaryIO:
    """Open the content of a file of the decompressed archive, by its packed entry, holes filled."""
    entry = Entry.unpack(packed)
    stream = open(place, "rb")  # noqa: SIM115 -- closed by the reader of the content
    return io.BufferedReader(_Runs(stream, entry))


class _Runs(io.RawIOBase):
    """A reader of one entry's data runs in an archive; the bytes between them are zeros."""

    def __init__(self, stream: BinaryIO, entry: Entry) -> None:
        super().__init__()
        self._stream = stream
        self._size = entry.size
        self._at = 0
        self._runs: list[tuple[int, int, int]] = []  # start in the file, length, start in the archive
        place = entry.offset
        for start, length in _runs_of(entry):
            self._runs.append((start, length, place))
            place += length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # typeshed's Buffer
        count = min(len(buffer), self._size - self._at)
        if count <= 0:
            return 0
        for start, length, place in self._runs:
            if start <= self._at < start + length:
                self._stream.seek(place + self._at - start)
                data = self._stream.read(min(count, start + length - self._at))
                if not data:
                    raise NotAnArchive("archive", "it changed while it was read")
                buffer[: len(data)] = data
                self._at += len(data)
                return len(data)
            if self._at < start:
                count = min(count, start - self._at)
                break
        buffer[:count] = bytes(count)
        self._at += count
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


def _runs_of(entry: Entry) -> Iterable[tuple[int, int]]:
    return ((0, entry.size),) if entry.sparse is None else entry.sparse

"""Segments: the pieces of a layer's uncompressed tar that can be read on their own (docs/format.md §1, checkpoints).

A checkpoint records the start of a segment, in the tar and in the blob, and a check of its content. Segments follow
each other without gaps; the last one ends with the tar.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from struct import Struct
from struct import error as struct_error

from rootlay.store.disk.scratchfile import ScratchFile
from rootlay.store.model.entry import CHECKPOINT_PREFIX
from rootlay.store.model.errors import CorruptStore
from rootlay.store.model.value import value

# The median size of a gzip segment is 1.3 times this; the index takes 3.5 % of the blob.
SEGMENT_BYTES = 1 << 20
# A segment is read as a whole; a longer one makes the layer need a pack.
SEGMENT_BYTES_MAX = 32 << 20

_HELD_BYTES = 4 << 20  # of windows in memory

_VALUE = Struct("<QII")
_OFFSET = Struct(">Q")


def checkpoint_key(tar_offset: int) -> bytes:
    """Return the key of a checkpoint in the layer index."""
    return CHECKPOINT_PREFIX + _OFFSET.pack(tar_offset)


@value
class Checkpoint:
    """The start of a segment. Offsets and length in bytes; `window` is zstd-compressed, for gzip only."""

    tar_offset: int
    blob_offset: int
    crc32: int
    length: int
    window: bytes = b""

    def key(self) -> bytes:
        """Return the key in the layer index."""
        return checkpoint_key(self.tar_offset)

    def value(self) -> bytes:
        """Return the value in the layer index."""
        return _VALUE.pack(self.blob_offset, self.crc32, self.length & 0xFFFFFFFF) + self.window

    @classmethod
    def parse(cls, key: bytes, value: bytes) -> Checkpoint:
        """Parse a checkpoint from its key and value. Raises CorruptStore."""
        try:
            blob_offset, crc32, length = _VALUE.unpack_from(value)
            (tar_offset,) = _OFFSET.unpack(key[len(CHECKPOINT_PREFIX) :])
        except struct_error as error:
            raise CorruptStore("layer index", "malformed checkpoint") from error
        return cls(tar_offset, blob_offset, crc32, length, value[_VALUE.size :])


class _Windows:
    """Windows by number, most of them in a file."""

    def __init__(self, scratch: Path | None) -> None:
        self._file = ScratchFile(scratch)
        self._ends = array("Q", (0,))
        self._in_file = 0
        self._held = bytearray()
        self._limit = _HELD_BYTES if scratch is not None else sys.maxsize

    def append(self, window: bytes) -> None:
        self._held += window
        self._ends.append(self._ends[-1] + len(window))
        if len(self._held) > self._limit:
            if self._file.append(self._held) is None:
                self._limit = sys.maxsize
                return
            self._in_file += len(self._held)
            self._held.clear()

    def __getitem__(self, index: int) -> bytes:
        begin, end = self._ends[index : index + 2]
        if begin < self._in_file:
            return self._file.read(begin, end - begin)
        return bytes(self._held[begin - self._in_file : end - self._in_file])


FindWindow = Callable[[int], bytes]
"""Returns the window of the checkpoint at a tar offset."""


class CheckpointTable:
    """The checkpoints of a layer, in order, packed: a lazily pulled layer has one for each of its files."""

    __slots__ = ("_blob_offsets", "_crc32s", "_find_window", "_lengths", "_starts", "_windows")

    def __init__(
        self,
        checkpoints: Iterable[Checkpoint] = (),
        find_window: FindWindow | None = None,
        scratch: Path | None = None,
    ) -> None:
        """Args:
        find_window: finds the windows, which are not kept then. A window has up to 32 KiB.
        scratch: a directory for a file without a name, which has most of the windows; None: they are in memory.
        """
        self._starts = array("Q")
        self._blob_offsets = array("Q")
        self._crc32s = array("I")
        self._lengths = array("Q")
        self._windows = _Windows(scratch)
        self._find_window = find_window
        for checkpoint in checkpoints:
            self.append(checkpoint)

    def append(self, checkpoint: Checkpoint) -> None:
        """Add the next checkpoint."""
        self._starts.append(checkpoint.tar_offset)
        self._blob_offsets.append(checkpoint.blob_offset)
        self._crc32s.append(checkpoint.crc32)
        self._lengths.append(checkpoint.length)
        if self._find_window is None:
            self._windows.append(checkpoint.window)

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[Checkpoint]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, index: int) -> Checkpoint:
        """Return the checkpoint of that number, from 0."""
        start = self._starts[index]
        window = self._windows[index] if self._find_window is None else self._find_window(start)
        return Checkpoint(start, self._blob_offsets[index], self._crc32s[index], self._lengths[index], window)

    def start(self, index: int) -> int:
        """Return the start of a segment in the tar."""
        return self._starts[index]

    def end(self, index: int) -> int:
        """Return the end of a segment in the tar."""
        return self._starts[index] + self._lengths[index]

    def find(self, tar_offset: int) -> int:
        """Return the number of the segment that may hold a byte of the tar; -1 if the byte precedes all of them."""
        return bisect_right(self._starts, tar_offset) - 1


class SegmentLog:
    """A collector of checkpoints in a pass over the tar: `begin` at a possible segment start, `feed` with its bytes."""

    def __init__(self, scratch: Path | None = None) -> None:
        """Start a log. `scratch`: as in CheckpointTable."""
        self.checkpoints = CheckpointTable(scratch=scratch)
        self.longest = 0
        self.tar_offset = 0
        self._start: tuple[int, int, bytes] | None = None
        self._crc32 = 0

    @property
    def current_bytes(self) -> int:
        """Length so far of the open segment."""
        return self.tar_offset - self._start[0] if self._start is not None else 0

    @property
    def started(self) -> bool:
        """Whether a segment is open."""
        return self._start is not None

    def begin(self, blob_offset: int, window: bytes = b"") -> None:
        """End the current segment and start one here. A segment without bytes is dropped."""
        self._close()
        self._start = (self.tar_offset, blob_offset, window)
        self._crc32 = 0

    def feed(self, data: bytes) -> None:
        """Add the next bytes of the tar."""
        self._crc32 = zlib.crc32(data, self._crc32)
        self.tar_offset += len(data)

    def finish(self) -> CheckpointTable:
        """End the last segment; return all checkpoints in order."""
        self._close()
        self._start = None
        return self.checkpoints

    def _close(self) -> None:
        if self._start is None or not self.current_bytes:
            return
        tar_offset, blob_offset, window = self._start
        length = self.current_bytes
        self.longest = max(self.longest, length)
        self.checkpoints.append(Checkpoint(tar_offset, blob_offset, self._crc32, length, window))

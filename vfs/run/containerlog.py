"""The log of a container: what its main programs have written, and when, to which stream.

`log` has the bytes, in the order in which they were read; `log.index` has one entry for each piece (docs/format.md §9).

Rules:
1. One process writes: the monitor of the main program. The bytes are written before their entry, so bytes without an
   entry exist only after a kill. They count as standard output, at the time of the next entry or of the file.
2. Readers read at any time. They hold no lock, and follow a log by reading again.
3. The writer holds a shared lock on `log.index`: whether it lives can be asked.
4. A line ends at a newline, or after 16 KiB as in Docker, or with the log.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from rootlay.store.containers.record import ContainerRecord
from rootlay.store.disk.smallfile import write_all
from rootlay.store.model.value import value

STDOUT, STDERR = 1, 2
LINE_BYTES = 16 << 10
_ENTRY = struct.Struct("<QQIB3x")
"""Offset in `log`, time in ns since the epoch, length in bytes, stream."""
_PIECE_BYTES = 1 << 20
_ENTRIES_AT_ONCE = 4096


@value
class Piece:
    """Bytes of one stream. `time_ns`: since the epoch."""

    stream: int
    time_ns: int
    data: bytes


class LogWriter:
    """The writing side of a log. Appends to what earlier programs of the container wrote."""

    def __init__(self, record: ContainerRecord) -> None:
        self._log = _append(record.log)
        self._index = _append(record.log_index)
        with contextlib.suppress(OSError):
            fcntl.flock(self._index, fcntl.LOCK_SH | fcntl.LOCK_NB)
        self._offset = os.fstat(self._log).st_size

    @property
    def descriptors(self) -> tuple[int, int]:
        """The descriptors of the log and of its index."""
        return self._log, self._index

    def write(self, stream: int, time_ns: int, data: bytes) -> None:
        """Append a piece. Raises OSError: the disk is full; the log then misses the piece, or a part of it."""
        if not data:
            return
        written = os.write(self._log, data)
        write_all(self._index, _ENTRY.pack(self._offset, time_ns, written, stream))
        self._offset += written
        if written < len(data):
            self.write(stream, time_ns, data[written:])

    def close(self) -> None:
        """Close the files."""
        os.close(self._log)
        os.close(self._index)


def has_writer(record: ContainerRecord) -> bool:
    """Return whether a process writes the log: the monitor of a program that runs, or that has just ended."""
    try:
        fd = os.open(record.log_index, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def _append(path: os.PathLike[str]) -> int:
    return os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, 0o600)


class LogReader:
    """The reading side of a log, from its beginning or its end. A container without a log has an empty one.

    Args:
        make: make the files now if they are missing: the reader then gets all that is written to them, also if the
            container is removed right after.
    """

    def __init__(self, record: ContainerRecord, *, at_end: bool = False, make: bool = False) -> None:
        if make:
            for path in (record.log, record.log_index):
                os.close(_append(path))
        self._record = record
        self._files: tuple[BinaryIO, BinaryIO] | None = None
        self._offset = 0
        if (make or at_end) and (files := self._open()) and at_end:
            log, index = files
            index.seek(os.fstat(index.fileno()).st_size // _ENTRY.size * _ENTRY.size)
            self._offset = os.fstat(log.fileno()).st_size

    def pieces(self, *, whole: bool = False) -> Iterator[Piece]:
        """Yield the pieces since the last call.

        Args:
            whole: the writer has ended: return also the bytes without an entry.
        """
        files = self._open()
        if files is None:
            return
        log, index = files
        while entries := index.read(_ENTRY.size * _ENTRIES_AT_ONCE):
            if rest := len(entries) % _ENTRY.size:  # its writer is writing the last one
                index.seek(-rest, os.SEEK_CUR)
                entries = entries[:-rest]
            for offset, time_ns, length, stream in _ENTRY.iter_unpack(entries):
                yield from self._read(log, offset, time_ns, STDOUT)
                yield from self._read(log, offset + length, time_ns, stream)
            if rest:
                break
        if whole:
            found = os.fstat(log.fileno())
            yield from self._read(log, found.st_size, found.st_mtime_ns, STDOUT)

    def _read(self, log: BinaryIO, end: int, time_ns: int, stream: int) -> Iterator[Piece]:
        while self._offset < end:
            log.seek(self._offset)
            data = log.read(min(end - self._offset, _PIECE_BYTES))
            if not data:
                return
            self._offset += len(data)
            yield Piece(stream, time_ns, data)

    def _open(self) -> tuple[BinaryIO, BinaryIO] | None:
        """Return log and index; None if there is no log yet."""
        if self._files is None:
            try:
                log = open(self._record.log, "rb", buffering=0)  # noqa: SIM115 -- `close` closes it
            except FileNotFoundError:
                return None
            try:
                index = open(self._record.log_index, "rb", buffering=0)  # noqa: SIM115
            except FileNotFoundError:  # of an older version
                index = open(os.devnull, "rb", buffering=0)  # noqa: SIM115
            self._files = log, index
        return self._files

    def close(self) -> None:
        """Close the files. Idempotent."""
        for file in self._files or ():
            file.close()


class Lines:
    """Joins the pieces of each stream to lines. A line has the time of its first byte."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[int, bytearray]] = {}

    def add(self, piece: Piece) -> Iterator[Piece]:
        """Yield the lines that the piece completes, each with its newline."""
        at, data = piece.time_ns, piece.data
        begin = 0
        while begin < len(data):
            first, text = self._open.setdefault(piece.stream, (at, bytearray()))
            end = data.find(b"\n", begin) + 1 or len(data)
            end = min(end, begin + LINE_BYTES - len(text))
            text += data[begin:end]
            begin = end
            if text.endswith(b"\n") or len(text) >= LINE_BYTES:
                del self._open[piece.stream]
                yield Piece(piece.stream, first, bytes(text))

    def rest(self) -> Iterator[Piece]:
        """Yield the unfinished lines: the log has ended."""
        for stream, (first, text) in self._open.items():
            yield Piece(stream, first, bytes(text))
        self._open.clear()

"""A forward-only stream of bytes, read from an iterator of chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO, Protocol

CHUNK_BYTES = 1 << 18


class ByteSource(Protocol):
    """The needs of a tar reader: bytes in order, and a way to skip bytes."""

    @property
    def offset(self) -> int:
        """How many bytes have been consumed."""

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes; fewer only at the end of the stream."""

    def skip(self, count: int) -> int:
        """Skip `count` bytes; return how many there were."""


class ByteStream:
    """A ByteSource over chunks of any size. Memory: one chunk, or the `count` of `take`."""

    __slots__ = ("_buffer", "_chunks", "_offset", "_position")

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._buffer = b""
        self._position = 0
        self._offset = 0

    @property
    def offset(self) -> int:
        """How many bytes have been consumed."""
        return self._offset

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes; fewer only at the end of the stream."""
        position = self._position
        end = position + count
        if end <= len(self._buffer):
            self._position = end
            self._offset += count
            return self._buffer[position:end]
        parts = [self._buffer[position:]]
        have = len(parts[0])
        while have < count:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            parts.append(chunk)
            have += len(chunk)
        self._buffer = b"".join(parts)
        self._position = min(count, have)
        self._offset += self._position
        return self._buffer[: self._position]

    def skip(self, count: int) -> int:
        """Skip `count` bytes; return how many there were."""
        left = count
        while True:
            here = len(self._buffer) - self._position
            if here >= left:
                self._position += left
                left = 0
                break
            left -= here
            chunk = next(self._chunks, None)
            if chunk is None:
                self._buffer = b""
                self._position = 0
                break
            self._buffer = chunk
            self._position = 0
        self._offset += count - left
        return count - left

    def iter_rest(self) -> Iterator[bytes]:
        """Yield all remaining bytes, in chunks."""
        if self._position < len(self._buffer):
            rest = self._buffer[self._position :]
            self._buffer, self._position = b"", 0
            self._offset += len(rest)
            yield rest
        for chunk in self._chunks:
            self._offset += len(chunk)
            yield chunk

    def drain(self) -> None:
        """Read all remaining bytes, for a consumer that counts or hashes the chunks."""
        for _ in self.iter_rest():
            pass


def iter_file(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the rest of a binary stream, in chunks."""
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk

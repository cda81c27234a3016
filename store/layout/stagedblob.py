"""Blobs in a staging directory, before they are verified and published."""

from __future__ import annotations

import hashlib
from pathlib import Path

from rootlay.store.disk.durable import create_file
from rootlay.store.model.digest import Digest


class StagedBlob:
    """A blob that is being written in a staging directory: counted and hashed as it grows."""

    def __init__(self, path: Path, fd: int | None = None) -> None:
        """Write to `fd`, open at its end, or to a new file."""
        self.path = path
        self.size = 0
        self._hash = hashlib.sha256()
        self._stream = open(create_file(path) if fd is None else fd, "wb", buffering=0)  # noqa: SIM115 -- closed by `finish`

    def write(self, data: bytes) -> None:
        """Append `data`."""
        view = memoryview(data)
        while view:
            view = view[self._stream.write(view) :]
        self.note(data)

    def note(self, data: bytes) -> None:
        """Count and hash the next bytes, which are in the file."""
        self._hash.update(data)
        self.size += len(data)

    def finish(self) -> Digest:
        """Close the file; return its digest. Idempotent."""
        self._stream.close()
        return Digest("sha256", self._hash.hexdigest())


class LinkedBlob(StagedBlob):
    """A blob that stays in its place: counted and hashed as it is read, and linked to."""

    def __init__(self, path: Path, target: Path) -> None:
        super().__init__(path)
        self._stream.close()
        path.unlink()
        path.symlink_to(target)

    def write(self, data: bytes) -> None:
        """Count and hash the next bytes of the blob."""
        self.note(data)

"""A file that is written inside an fsspec transaction."""

from __future__ import annotations

import io
import os
import uuid

from rootlay.vfs.overlay.overlay import Overlay


class PendingFile(io.BufferedWriter):
    """A file written inside `fs.transaction`. It gets its name, complete, at `commit`, or never."""

    def __init__(self, overlay: Overlay, name: str, *, exclusive: bool) -> None:
        self._overlay = overlay
        self._target = name
        self._exclusive = exclusive
        self._pending = f"{name.rpartition('/')[0]}/.rootlay-{uuid.uuid4().hex}"
        descriptor = overlay.open(self._pending, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        super().__init__(io.FileIO(descriptor, "wb"))

    def commit(self) -> None:
        """Give the file its name. Raises FileExistsError if it was opened to be new and another file has the name."""
        self.close()
        self._overlay.rename(self._pending, self._target, 1 if self._exclusive else 0)

    def discard(self) -> None:
        """Discard the file."""
        self.close()
        self._overlay.unlink(self._pending)

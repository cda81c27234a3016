"""One entry of a planned layer, and the source of its file's content."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from rootlay.store.model.entry import Entry
from rootlay.store.model.value import value
from rootlay.vfs.build.context.source import Stamp

Opener = Callable[[bytes], BinaryIO]
"""Opens the source's content at a place: a path, or another key of the source."""


@value
class FileContent:
    """The content of a file: the result of `source(place)`. One source for many files; places are small."""

    source: Opener
    place: bytes = b""

    def open(self) -> BinaryIO:
        """Open the content at its beginning. The caller closes it."""
        return self.source(self.place)


@value
class Planned:
    """One entry.

    Args:
        entry: that of the whole file, even if it has several names.
        content: of a file; None for other types.
        stamp: changes whenever the content may have changed; None if that is not known.
        identity: the same for all names of one file; None if it has one name.
    """

    entry: Entry
    content: FileContent | None = None
    stamp: Stamp | None = None
    identity: bytes | None = None

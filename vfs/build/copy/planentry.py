"""One entry of a layer that is planned, and where the content of its file is to be had."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from rootlay.store.model.entry import Entry
from rootlay.store.model.value import value
from rootlay.vfs.build.context.source import Stamp

Opener = Callable[[bytes], BinaryIO]
"""Opens what a source has at a place: a path, or whatever else the source knows its files by."""


@value
class FileContent:
    """The content of a file: what `source(place)` gives. One source for many files; places are small."""

    source: Opener
    place: bytes = b""

    def open(self) -> BinaryIO:
        """The content from its beginning. Close it."""
        return self.source(self.place)


@value
class Planned:
    """One entry.

    Args:
        entry: of a file with several names, too, the whole file's.
        content: of a file; None where it has none.
        stamp: changes whenever the content may have changed; None where nothing is known.
        identity: the same for all names of one file; None where it has one.
    """

    entry: Entry
    content: FileContent | None = None
    stamp: Stamp | None = None
    identity: bytes | None = None

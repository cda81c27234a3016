"""`DIR/.rootlay/settings`: what the wrapped commands of a directory need to know (docs/format.md §17).

Keys and values, each ended by a NUL; a key may be repeated. Paths below DIR begin with a byte 1 in place of DIR's path,
so that DIR can be moved.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from rootlay.store.model.errors import InputError
from rootlay.store.model.value import value

HIDDEN = ".rootlay"
VERSION = "1"
UPPERS = ("shared", "private", "throw-away")
BELOW_DIRECTORY, BELOW_RUN, CONTAINER_ID = b"\1", b"\2", b"\3"
PROGRAM = "program/"
_BYTES_MAX = 1 << 20
"""More than this a command does not read (`vfs/csrc/wrap/settings.c`)."""


class CannotWrap(InputError):
    """A program or a directory that `rootlay wrap` cannot use."""

    fault = "caller"
    exit_code = 54


@value
class Settings:
    """The settings of a directory, in their order."""

    pairs: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, directory: Path) -> Settings:
        """Read those of a directory.

        Raises:
            CannotWrap: it has no wrapped programs, or they are of another version.
        """
        try:
            words = (directory / HIDDEN / "settings").read_bytes().split(b"\0")[:-1]
        except (FileNotFoundError, NotADirectoryError):
            raise CannotWrap(str(directory), "there are no wrapped programs in it") from None
        texts = [os.fsdecode(word) for word in words]
        found = cls(tuple(zip(texts[::2], texts[1::2], strict=False)))
        if found.first("version") != VERSION:
            raise CannotWrap(str(directory), "made by another version: remove it, and wrap its programs again")
        return found

    def to_bytes(self) -> bytes:
        """Return the file's content. Raises CannotWrap: it is too large for the commands."""
        content = b"".join(os.fsencode(word) + b"\0" for pair in self.pairs for word in pair)
        if len(content) >= _BYTES_MAX:
            what = f"the image's variables and the commands take {len(content)} bytes"
            raise CannotWrap(self.first("image"), f"{what}, and {_BYTES_MAX - 1} are possible")
        return content

    def first(self, key: str) -> str:
        """Return the first value of a key; empty if it has none."""
        return next((text for name, text in self.pairs if name == key), "")

    def programs(self) -> dict[str, str]:
        """Return the paths inside, by the names of the commands."""
        return {name[len(PROGRAM) :]: text for name, text in self.pairs if name.startswith(PROGRAM)}

    def with_programs(self, programs: dict[str, str]) -> Settings:
        kept = [pair for pair in self.pairs if not pair[0].startswith(PROGRAM)]
        return Settings((*kept, *((PROGRAM + name, path) for name, path in sorted(programs.items()))))


def pairs_of(key: str, values: Sequence[str]) -> Iterator[tuple[str, str]]:
    return ((key, text) for text in values)


def relative(path: bytes, directory: Path) -> bytes:
    """Return a path with a byte in the place of `directory`, if it is below."""
    start = os.fsencode(directory)
    return BELOW_DIRECTORY + path[len(start) :] if path.startswith(start + b"/") else path

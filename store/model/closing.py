"""Use of an object as a context manager: it is closed at the end."""

from __future__ import annotations

from typing import Self


class Closing:
    """A base for classes with a `close`."""

    __slots__ = ()

    def close(self) -> None:
        """Release what the object holds."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

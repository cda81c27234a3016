"""Callbacks of long work: its progress, and notes for the user; never output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Progress(Protocol):
    """A callback for regular progress reports of long work: bytes, or the things that `label` names in the plural."""

    def __call__(self, done: int, total: int | None, label: str, /) -> None:
        """Report that `done` of `total` (None: not known) of the work named `label` are done."""


def silent(done_bytes: int, total_bytes: int | None, label: str) -> None:
    """Ignore the progress."""


Note = Callable[[str], None]
"""A callback for a line that the user should read, though nothing has failed: what was left out, and why."""


def unheard(line: str) -> None:
    """Ignore the note."""

"""How long work reports where it stands, and what the user should know: callbacks, never output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Progress(Protocol):
    """Called from time to time by whoever has bytes to get through."""

    def __call__(self, done_bytes: int, total_bytes: int | None, label: str) -> None:
        """`done_bytes` of `total_bytes` (None: not known) of the work named `label` are done."""


def silent(done_bytes: int, total_bytes: int | None, label: str) -> None:
    """The Progress of somebody who does not care."""


Note = Callable[[str], None]
"""Called with a line that the user should read, though nothing has failed: what was left out, and why."""


def unheard(line: str) -> None:
    """The Note of somebody who does not care."""

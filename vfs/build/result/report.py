"""What a build tells whoever watches it: plain calls, never output. They come from several threads."""

from __future__ import annotations

from typing import Protocol

from rootlay.store.model.value import value


@value
class Step:
    """One step that is shown.

    Args:
        number: from 1, in the order of starting.
        stage: the stage's name; empty where there is one stage only.
        position, total: which of the stage's steps it is, FROM being the first.
        text: the instruction in one line.
    """

    number: int
    stage: str
    position: int
    total: int
    text: str

    def __str__(self) -> str:
        place = f"{self.position}/{self.total}"
        return f"[{self.stage} {place}] {self.text}" if self.stage else f"[{place}] {self.text}"


class Report(Protocol):
    """Follows a build. Must not raise, and must not take long."""

    def start(self, step: Step) -> None:
        """A step begins."""

    def output(self, step: Step, data: bytes) -> None:
        """What its command prints, in pieces as they come."""

    def finish(self, step: Step, seconds: float, size_bytes: int, *, cached: bool) -> None:
        """It is done; `size_bytes` of its layer's blob, 0 where it made none."""

    def fail(self, step: Step, seconds: float) -> None:
        """It failed. What went wrong is said by the exception that ends the build."""

    def note(self, text: str) -> None:
        """A remark about the build, such as a warning."""


class Silent:
    """The Report of somebody who does not care."""

    def start(self, step: Step) -> None:
        """Nothing."""

    def output(self, step: Step, data: bytes) -> None:
        """Nothing."""

    def finish(self, step: Step, seconds: float, size_bytes: int, *, cached: bool) -> None:
        """Nothing."""

    def fail(self, step: Step, seconds: float) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

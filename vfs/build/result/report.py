"""The report of a build to its observer: plain calls, never output. They come from several threads."""

from __future__ import annotations

from typing import Protocol

from rootlay.store.model.value import value


@value
class Step:
    """One step in the report.

    Args:
        number: from 1, in the order of starting.
        stage: the stage's name; empty if there is only one stage.
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
    """An observer of a build. Its methods must not raise, and must not take long."""

    def start(self, step: Step) -> None:
        """Report the start of a step."""

    def output(self, step: Step, data: bytes) -> None:
        """Report output of its command, in pieces as they arrive."""

    def finish(self, step: Step, seconds: float, size_bytes: int, *, cached: bool) -> None:
        """Report the end of a step; `size_bytes` of its layer's blob, 0 if it made none."""

    def fail(self, step: Step, seconds: float) -> None:
        """Report the failure of a step. The exception that ends the build has the reason."""

    def note(self, text: str) -> None:
        """Report a remark about the build, such as a warning."""


class Silent:
    """A Report that ignores everything."""

    def start(self, step: Step) -> None:
        """Do nothing."""

    def output(self, step: Step, data: bytes) -> None:
        """Do nothing."""

    def finish(self, step: Step, seconds: float, size_bytes: int, *, cached: bool) -> None:
        """Do nothing."""

    def fail(self, step: Step, seconds: float) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""

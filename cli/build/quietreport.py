"""The output of a quiet build: that of a step which fails, as Docker prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rootlay.cli.printer import Printer
from rootlay.vfs.build.result.report import Silent

if TYPE_CHECKING:
    from rootlay.vfs.build.result.report import Step

_KEPT_BYTES = 64 << 10


class QuietReport(Silent):
    """A `rootlay.vfs.build.result.report.Report` that writes the last 64 KiB of the output of a step that fails."""

    def __init__(self, out: Printer) -> None:
        self._out = out
        self._kept: dict[int, bytes] = {}

    def output(self, step: Step, data: bytes) -> None:
        self._kept[step.number] = (self._kept.get(step.number, b"") + data)[-_KEPT_BYTES:]

    def finish(self, step: Step, seconds: float, size_bytes: int, *, cached: bool) -> None:
        self._kept.pop(step.number, None)

    def fail(self, step: Step, seconds: float) -> None:
        kept = self._kept.pop(step.number, b"")
        if kept:
            self._out.output(kept.decode("utf-8", "replace"))

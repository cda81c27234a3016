"""The output of a running build in BuildKit's plain form: a line for each event, where `#N` is the step.

#2 [1/3] FROM debian
#3 [2/3] RUN apt-get update
#3 0.412 Reading package lists...
#3 DONE 4.1s 12.3MB
#4 CACHED
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from rootlay.cli.listing import size
from rootlay.cli.printer import Printer

if TYPE_CHECKING:
    from rootlay.vfs.build.result.report import Step


class PlainReport:
    """A `rootlay.vfs.build.result.report.Report` that writes lines. Thread safe."""

    def __init__(self, out: Printer) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._begins: dict[int, float] = {}
        self._pending: dict[int, bytes] = {}

    def start(self, step: Step) -> None:
        self._begins[step.number] = time.monotonic()
        self._say(f"#{step.number} {step}")

    def output(self, step: Step, data: bytes) -> None:
        *lines, rest = (self._pending.pop(step.number, b"") + data).split(b"\n")
        self._pending[step.number] = rest
        seconds = time.monotonic() - self._begins[step.number]
        self._pass_on(*(f"#{step.number} {seconds:.3f} {outcome(line)}" for line in lines))

    def finish(self, step: Step, seconds: float, size_bytes: int, *, cached: bool) -> None:
        self._flush(step)
        if cached:
            self._say(f"#{step.number} CACHED")
        else:
            self._say(f"#{step.number} DONE {seconds:.1f}s" + (f" {size(size_bytes)}" if size_bytes else ""))

    def fail(self, step: Step, seconds: float) -> None:
        self._flush(step)
        self._say(f"#{step.number} ERROR after {seconds:.1f}s")

    def note(self, text: str) -> None:
        self._say(f"note: {text}")

    def _flush(self, step: Step) -> None:
        rest = self._pending.pop(step.number, b"")
        if rest:
            seconds = time.monotonic() - self._begins[step.number]
            self._pass_on(f"#{step.number} {seconds:.3f} {outcome(rest)}")

    def _say(self, line: str) -> None:
        with self._lock:
            self._out.line(line, flush=True)

    def _pass_on(self, *lines: str) -> None:
        """Write the output of a command unchanged, as Docker does."""
        with self._lock:
            self._out.output("".join(f"{line}\n" for line in lines))


def outcome(line: bytes) -> str:
    """Return a line of a command; for a progress bar that rewrites itself, the final text."""
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace")

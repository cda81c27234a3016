"""The live display of a build on a terminal: what is done scrolls up, what goes on is rewritten below it.

    => [build 2/4] RUN apt-get update                                  4.1s 12.3MB
    => [build 3/4] COPY src .                                              CACHED
    -> [build 4/4] RUN make                                                 12.3s
     | cc -c main.c

Rules:
1. The lower part has at most ROWS_MAX rows, and never more than the terminal; it is drawn every DRAW_S at most.
2. Commands' output is shown without its escape sequences: it cannot move the cursor, or hide what is printed.
3. Of a step that fails the last FAILED_LINES lines stay. Everything else is in `--progress=plain`.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

from rootlay.cli.buildprogress import outcome
from rootlay.cli.listing import size
from rootlay.cli.printer import Printer
from rootlay.store.model.errors import printable_text

if TYPE_CHECKING:
    from rootlay.vfs.build.result.report import Step

DRAW_S = 0.1
ROWS_MAX = 16
LINES_EACH = 5
FAILED_LINES = 40
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass
class _Running:
    """A step under way: when it began, its last lines, and the line that is not ended yet."""

    step: Step
    begin: float
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=FAILED_LINES))
    rest: bytes = b""


class ScreenReport:
    """A `rootlay.vfs.build.result.report.Report` that draws. Use it as a context manager. Safe for threads.

    Args:
        out: a terminal.
        colour: whether output may be dimmed, and failures red.
    """

    def __init__(self, out: Printer, *, colour: bool = True) -> None:
        self._out = out
        self._colour = colour
        self._running: dict[int, _Running] = {}
        self._rows = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._drawer = threading.Thread(target=self._draw_on, name="rootlay-screen", daemon=True)

    def __enter__(self) -> ScreenReport:
        self._drawer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._drawer.join()
        with self._lock:
            self._say()

    def start(self, step: Step) -> None:
        with self._lock:
            self._running[step.number] = _Running(step, time.monotonic())

    def output(self, step: Step, data: bytes) -> None:
        with self._lock:
            running = self._running[step.number]
            *lines, running.rest = (running.rest + data).split(b"\n")
            running.lines.extend(map(_text, lines))

    def finish(self, step: Step, seconds: float, size_bytes: int, *, cached: bool) -> None:
        end = "CACHED" if cached else f"{seconds:.1f}s" + (f" {size(size_bytes)}" if size_bytes else "")
        with self._lock:
            self._running.pop(step.number, None)
            self._say(self._line("=>", step, end))

    def fail(self, step: Step, seconds: float) -> None:
        with self._lock:
            running = self._running.pop(step.number, None)
            lines = _shown(running) if running is not None else []
            first = self._painted(self._line("=>", step, f"ERROR {seconds:.1f}s"), "31")
            self._say(first, *(f" | {line}" for line in lines))

    def note(self, text: str) -> None:
        with self._lock:
            self._say(f"note: {printable_text(text)}")

    # ---- drawing; the lock is held

    def _draw_on(self) -> None:
        while not self._ended.wait(DRAW_S):
            with self._lock:
                self._say(live=self._live())

    def _live(self) -> list[str]:
        columns, rows = _terminal(self._out)
        now = time.monotonic()
        found: list[str] = []
        for running in self._running.values():
            found.append(self._line("->", running.step, f"{now - running.begin:.1f}s"))
            tail = [f"  | {line}"[: columns - 1] for line in _shown(running)[-LINES_EACH:]]
            found += [self._painted(line, "2") for line in tail]
        return found[-min(ROWS_MAX, rows - 1) :]

    def _say(self, *lines: str, live: list[str] | None = None) -> None:
        """Put lines above the live part, and draw that anew (none: take it away)."""
        clear = f"\x1b[{self._rows}F\x1b[J" if self._rows else ""
        live = live or []
        self._rows = len(live)
        text = clear + "".join(f"{line}\n" for line in (*lines, *live))
        if text:
            self._out.drawn(text)

    def _line(self, mark: str, step: Step, end: str) -> str:
        columns = _terminal(self._out)[0]
        room = max(10, columns - len(mark) - len(end) - 4)
        text = printable_text(_ESCAPES.sub("", str(step)))
        text = text if len(text) <= room else text[: room - 1] + "…"
        return f"{mark} {text.ljust(room)} {end}"

    def _painted(self, line: str, code: str) -> str:
        return f"\x1b[{code}m{line}\x1b[0m" if self._colour else line


def _shown(running: _Running) -> list[str]:
    return [*running.lines, *([_text(running.rest)] if running.rest else [])]


def _text(line: bytes) -> str:
    """A line as it would be read: of one that rewrites itself what it came to, without escape sequences."""
    return printable_text(_ESCAPES.sub("", outcome(line).expandtabs()))


def _terminal(out: Printer) -> tuple[int, int]:
    """Columns and rows."""
    try:
        columns, rows = os.get_terminal_size(out.fileno())
    except OSError:
        columns = rows = 0
    otherwise = shutil.get_terminal_size()
    return columns or otherwise.columns, rows or otherwise.lines

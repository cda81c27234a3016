"""The live display of a build on a terminal: finished steps scroll up, running steps are redrawn below them.

    => [build 2/4] RUN apt-get update                                  4.1s 12.3MB
    => [build 3/4] COPY src .                                              CACHED
    -> [build 4/4] RUN make                                                 12.3s
     | cc -c main.c

Rules:
1. The lower part is rich's live display: at most ROWS_MAX rows, and never more than the terminal has. It is drawn every
   DRAW_S. One lock is held for every change and every drawing, because rich's lock does not cover the text printed
   above.
2. The output of commands is shown without its escape sequences: it cannot move the cursor or hide printed text.
3. The last FAILED_LINES lines of a failed step stay. Everything else is in `--progress=plain`.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from rootlay.cli.build.plainreport import outcome
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


class _Running:
    """A running step: its start, its last lines, and the line that is not complete yet."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.begin = time.monotonic()
        self.lines: deque[str] = deque(maxlen=FAILED_LINES)
        self.rest = b""

    def add(self, data: bytes) -> None:
        *lines, self.rest = (self.rest + data).split(b"\n")
        self.lines.extend(map(_text, lines))

    def shown(self) -> list[str]:
        return [*self.lines, *([_text(self.rest)] if self.rest else [])]


class ScreenReport:
    """A `rootlay.vfs.build.result.report.Report` that draws. Use it as a context manager. Thread safe.

    Args:
        out: a terminal.
        colour: whether output may be dimmed, and failures shown in red.
    """

    def __init__(self, out: Printer, *, colour: bool = True) -> None:
        self._console = Console(file=out.text, force_terminal=True, color_system="auto" if colour else None)
        self._live = Live(self, console=self._console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._running: dict[int, _Running] = {}
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._drawer = threading.Thread(target=self._draw_on, name="rootlay-screen", daemon=True)

    def __enter__(self) -> ScreenReport:
        self._live.start()
        self._drawer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._drawer.join()
        with self._lock:
            self._running.clear()
            self._live.stop()

    def start(self, step: Step) -> None:
        with self._lock:
            self._running[step.number] = _Running(step)

    def output(self, step: Step, data: bytes) -> None:
        with self._lock:
            self._running[step.number].add(data)

    def finish(self, step: Step, seconds: float, size_bytes: int, *, cached: bool) -> None:
        end = "CACHED" if cached else f"{seconds:.1f}s" + (f" {size(size_bytes)}" if size_bytes else "")
        with self._lock:
            self._running.pop(step.number, None)
            self._say(self._line("=>", step, end))

    def fail(self, step: Step, seconds: float) -> None:
        with self._lock:
            running = self._running.pop(step.number, None)
            first = self._line("=>", step, f"ERROR {seconds:.1f}s")
            first.stylize("red")
            self._say(first, *(Text(f" | {line}") for line in (running.shown() if running is not None else ())))

    def note(self, text: str) -> None:
        with self._lock:
            self._say(Text(f"note: {printable_text(text)}"))

    # ---- drawing; the lock is held

    def _draw_on(self) -> None:
        while not self._ended.wait(DRAW_S):
            with self._lock:
                self._live.refresh()

    def __rich__(self) -> Group:
        """Return the lower part."""
        now = time.monotonic()
        rows: list[Text] = []
        for running in self._running.values():
            rows.append(self._line("->", running.step, f"{now - running.begin:.1f}s"))
            rows += [Text(f"  | {line}", "dim") for line in running.shown()[-LINES_EACH:]]
        for row in rows:
            row.truncate(self._console.width - 1)
        return Group(*rows[-min(ROWS_MAX, self._console.height - 1) :])

    def _say(self, *lines: Text) -> None:
        """Print lines above the lower part, and redraw that."""
        self._console.print(*lines, sep="\n", soft_wrap=True)

    def _line(self, mark: str, step: Step, end: str) -> Text:
        room = max(10, self._console.width - len(mark) - len(end) - 4)
        text = Text(printable_text(_ESCAPES.sub("", str(step))))
        text.truncate(room, overflow="ellipsis", pad=True)
        return Text.assemble(f"{mark} ", text, f" {end}")


def _text(line: bytes) -> str:
    """Return a line in its final form, without escape sequences; for one that rewrites itself, the final text."""
    return printable_text(_ESCAPES.sub("", outcome(line).expandtabs()))

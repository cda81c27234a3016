"""The output of a running build as JSON lines: BuildKit's SolveStatus (client/graph.go), for `--progress=rawjson`."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from typing import TYPE_CHECKING, Any

from rootlay.cli.printer import Printer
from rootlay.vfs.docker.times import rfc3339_nano

if TYPE_CHECKING:
    from rootlay.vfs.build.result.report import Step

_STDOUT = 1


class JsonReport:
    """A `rootlay.vfs.build.result.report.Report` that writes one JSON object a line. Thread safe."""

    def __init__(self, out: Printer) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._started: dict[int, str] = {}

    def start(self, step: Step) -> None:
        self._started[step.number] = _now()
        self._vertex(step)

    def output(self, step: Step, data: bytes) -> None:
        log = {"vertex": _digest(step), "stream": _STDOUT, "data": base64.b64encode(data).decode(), "timestamp": _now()}
        self._line({"logs": [log]})

    def finish(self, step: Step, seconds: float, size_bytes: int, *, cached: bool) -> None:
        self._vertex(step, completed=_now(), **({"cached": True} if cached else {}))

    def fail(self, step: Step, seconds: float) -> None:
        self._vertex(step, completed=_now(), error=f"{step.text} failed")

    def note(self, text: str) -> None:
        message = base64.b64encode(text.encode("utf-8", "replace")).decode()
        self._line({"warnings": [{"level": 1, "short": message}]})

    def _vertex(self, step: Step, **more: Any) -> None:
        vertex = {"digest": _digest(step), "name": str(step), "started": self._started.get(step.number), **more}
        self._line({"vertexes": [vertex]})

    def _line(self, value: dict[str, Any]) -> None:
        with self._lock:
            self._out.json(value, indent=None)
            self._out.flush()


def _digest(step: Step) -> str:
    return f"sha256:{hashlib.sha256(f'{step.number} {step}'.encode('utf-8', 'replace')).hexdigest()}"


def _now() -> str:
    return rfc3339_nano(time.time_ns())

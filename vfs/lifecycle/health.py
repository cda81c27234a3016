"""Health checks: a program that is run in the container again and again, and what its results say.

Rules (Docker's):
1. The status is `starting`, then `healthy` after a success, `unhealthy` after `retries` failures in sequence.
2. Failures in the start period do not count before the first success. Until then, checks follow each other after the
   start interval.
3. A check that takes longer than its time limit is killed, and has failed.
4. The results are in `health.json` in the container's directory (docs/format.md §9): the last five, with 4 KiB of
   output each.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from rootlay.store.containers.health import Health
from rootlay.store.containers.record import ContainerRecord
from rootlay.store.containers.settings import SECOND_NS
from rootlay.store.disk.durable import replace_file
from rootlay.store.disk.smallfile import read_small

HEALTH_FILE = "health.json"
OUTPUT_BYTES = 4096
RESULTS_KEPT = 5
INTERVAL_NS = TIMEOUT_NS = 30 * SECOND_NS
START_INTERVAL_NS = 5 * SECOND_NS
RETRIES = 3
TIMED_OUT = -1


def health_of(record: ContainerRecord) -> dict[str, Any] | None:
    """Return the health of a container in the form of the Engine API: Status, FailingStreak, Log. None: no check."""
    health = record.config.settings.health if "health" in record.config.extra else None
    if health is None or not health.is_on:
        return None
    with contextlib.suppress(FileNotFoundError, ValueError):
        found: dict[str, Any] = json.loads(read_small(record.path / HEALTH_FILE))
        return found
    return {"Status": "starting", "FailingStreak": 0, "Log": []}


def check_argv(health: Health) -> tuple[str, ...]:
    """Return the program of a check."""
    return ("/bin/sh", "-c", " ".join(health.test[1:])) if health.test[0] == "CMD-SHELL" else health.test[1:]


class HealthChecks:
    """The checks of one run of the main program. `turn` does what is due; nothing waits.

    Args:
        spawn: start the check with this descriptor as its output, as the leader of a session; returns its pid.
    """

    def __init__(self, record: ContainerRecord, health: Health, spawn: Callable[[int], int]) -> None:
        self._record = record
        self._health = health
        self._spawn = spawn
        self._begun_ns = time.monotonic_ns()
        self._pid = 0
        self._output = -1
        self._started = ""
        self._report: dict[str, Any] = {"Status": "starting", "FailingStreak": 0, "Log": []}
        self._write()
        self._due_ns = self._begun_ns + self._interval_ns()

    def turn(self) -> float:
        """Do what is due, and return the seconds until something is due again."""
        now = time.monotonic_ns()
        if self._pid:
            done, status = os.waitpid(self._pid, os.WNOHANG)
            if done and not os.WIFSTOPPED(status):
                self._finish(os.waitstatus_to_exitcode(status))
            elif now >= self._due_ns:
                limit = (self._health.timeout_ns or TIMEOUT_NS) / SECOND_NS
                self._kill()
                self._finish(TIMED_OUT, f"Health check exceeded timeout ({limit:g}s)")
        elif now >= self._due_ns:
            self._begin()
        return max(0.0, (self._due_ns - time.monotonic_ns()) / SECOND_NS)

    def end(self) -> None:
        """Kill a check that runs. The results stay."""
        if self._pid:
            self._kill()
            os.close(self._output)
            self._pid = 0

    def _in_start_period(self) -> bool:
        return time.monotonic_ns() - self._begun_ns < self._health.start_period_ns

    def _interval_ns(self) -> int:
        if self._report["Status"] == "starting" and self._in_start_period():
            return self._health.start_interval_ns or START_INTERVAL_NS
        return self._health.interval_ns or INTERVAL_NS

    def _begin(self) -> None:
        self._output = os.memfd_create("health", os.MFD_CLOEXEC)
        self._started = _now()
        self._pid = self._spawn(self._output)
        self._due_ns = time.monotonic_ns() + (self._health.timeout_ns or TIMEOUT_NS)

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def _finish(self, code: int, output: str = "") -> None:
        if not output:
            output = os.pread(self._output, OUTPUT_BYTES, 0).decode("utf-8", "replace")
        os.close(self._output)
        self._pid = 0
        entry = {"Start": self._started, "End": _now(), "ExitCode": code, "Output": output}
        report, before = self._report, self._report["Status"]
        report["Log"] = [*report["Log"], entry][-RESULTS_KEPT:]
        if code == 0:
            report |= {"Status": "healthy", "FailingStreak": 0}
        elif report["Status"] != "starting" or not self._in_start_period():
            report["FailingStreak"] += 1
            if report["FailingStreak"] >= (self._health.retries or RETRIES):
                report["Status"] = "unhealthy"
        self._write()
        if report["Status"] != before:
            self._record.note(f"health_status: {report['Status']}")
        self._due_ns = time.monotonic_ns() + self._interval_ns()

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # removed meanwhile, or a full disk, which must not end the program
            replace_file(self._record.path / HEALTH_FILE, json.dumps(self._report).encode())


def _now() -> str:
    """Return the time in RFC 3339, as the Engine API shows it."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")

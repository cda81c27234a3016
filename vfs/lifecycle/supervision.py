"""What a monitor does besides waiting for its program: health checks and restarts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from rootlay.store.containers.record import ContainerRecord
from rootlay.store.model.errors import RootlayError
from rootlay.vfs.lifecycle.health import HealthChecks, check_argv
from rootlay.vfs.lifecycle.restarts import RestartPolicy
from rootlay.vfs.run.foreground import Supervision, spawn
from rootlay.vfs.run.killing import kill_guests
from rootlay.vfs.run.program import Program, container_reader, make_program
from rootlay.vfs.run.session import Session
from rootlay.vfs.settings.mounts import empty_directories

_LOOK_S = 0.1


class Supervisor(Supervision):
    """See the module. Made before the fork of the monitor: a check that cannot run is an error of the start."""

    def __init__(self, record: ContainerRecord) -> None:
        self._record = record
        self._policy = RestartPolicy("no")
        self._health = record.config.settings.health if "health" in record.config.extra else None
        self._check: Program | None = None
        if self._health is not None and self._health.is_on:
            self._check = make_program(record, container_reader(record), argv=check_argv(self._health))
        self._checks: HealthChecks | None = None
        self.is_needed = self._check is not None or "restart" in record.config.extra

    def begin(self, session: Session) -> None:
        check = self._check
        if check is None or self._health is None:
            return

        def start(output: int) -> int:
            saved = [os.dup(fd) for fd in (1, 2)]
            try:
                os.dup2(output, 1)
                os.dup2(output, 2)
                return spawn(session, check, stdin=False, mask=(), new_session=True)
            finally:
                for fd, old in zip((1, 2), saved, strict=True):
                    os.dup2(old, fd)
                    os.close(old)

        self._checks = HealthChecks(self._record, self._health, start)

    def turn(self) -> float | None:
        return self._checks.turn() if self._checks is not None else None

    def end(self) -> None:
        if self._checks is not None:
            self._checks.end()
            self._checks = None

    def wait_for_restart(self, code: int, ran_ns: int, announce: Callable[[], None]) -> bool:
        self._policy.change(self._current_policy())
        wait = None if self._record.stop_mark.exists() else self._policy.wait_before_restart(code, ran_ns)
        if wait is None:
            return False
        announce()
        deadline = time.monotonic() + wait
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK_S))
            if self._record.stop_mark.exists() or not self._record.path.exists():
                return False
        kill_guests(self._record.real_path)
        empty_directories(self._record)
        return True

    def _current_policy(self) -> str:
        """Return the policy in the record, which `update` may have changed."""
        from rootlay.store.containers.containers import Containers

        try:
            config = Containers(self._record.root).find(self._record.id).config
        except RootlayError:  # removed
            return "no"
        return config.settings.restart if "restart" in config.extra else "no"

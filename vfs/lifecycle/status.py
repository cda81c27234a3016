"""The status of a container, in Docker's words."""

from __future__ import annotations

from rootlay.store.containers.record import ContainerRecord, ContainerState
from rootlay.store.model.errors import RootlayError
from rootlay.vfs.lifecycle.errors import AlreadyPaused, NotRunning
from rootlay.vfs.lifecycle.pause import is_paused
from rootlay.vfs.run.containerlog import has_writer
from rootlay.vfs.run.status import is_restarting, is_running


class NotAttachable(RootlayError):
    """The program has the streams of the process that started it: no other one can attach to it."""

    exit_code = 78

    def __init__(self, container: str) -> None:
        super().__init__(
            f"container {container} runs in the foreground of another process, or its monitor was killed: attach works "
            "for programs that were started by `run -d` or `start`"
        )
        self.container = container


def status_of(record: ContainerRecord, state: ContainerState | None = None) -> str:
    """Return `created`, `running`, `paused`, `restarting` or `exited`."""
    state = record.state() if state is None else state
    if not state.started_ns:
        return "exited" if state.finished_ns else "created"
    if is_restarting(record, state):
        return "restarting"
    if is_running(record, state):
        return "paused" if is_paused(record) else "running"
    return "exited"


def require_running(record: ContainerRecord, *, monitored: bool = False) -> None:
    """Raise NotRunning or AlreadyPaused unless the main program runs; with `monitored`, NotAttachable unless it runs in
    the background."""
    if not is_running(record):
        raise NotRunning(record.name)
    if is_paused(record):
        raise AlreadyPaused(record.name)
    if monitored and not has_writer(record):
        raise NotAttachable(record.name)

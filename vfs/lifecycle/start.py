"""Start of a container's main program in the background."""

from __future__ import annotations

import os

from rootlay.store.containers.record import ContainerRecord
from rootlay.vfs.detached.background import run_background
from rootlay.vfs.lifecycle.errors import AlreadyPaused
from rootlay.vfs.lifecycle.supervision import Supervisor
from rootlay.vfs.run.foreground import CHILD_SETTINGS
from rootlay.vfs.run.processes import is_guest
from rootlay.vfs.run.program import container_reader, make_program
from rootlay.vfs.run.session import Session, open_session
from rootlay.vfs.settings.mounts import empty_directories


def start_container(
    record: ContainerRecord, *, trace: str | None = None, patch: bool = True, confine: str | None = None
) -> int:
    """Start the main program of a container with a monitor, and return its pid as soon as it runs. A container that
    is to be removed at its end is removed if it does not start. The caller must be single-threaded.

    Args:
        trace, patch, confine: see rootlay.vfs.run.session.open_session.

    Raises:
        NotStarted: the program cannot be executed.
        AlreadyPaused: it is paused.
        PortNotFree, LimitRefused, HardLimitTooLow, UnknownUser, EngineMissing: nothing was started.
    """
    from rootlay.vfs.run.removal import remove_container

    require_not_paused(record)
    try:
        prepare_start(record)
        program = make_program(record, container_reader(record), tty=record.config.tty)
        supervision = Supervisor(record)
        session = open_main_session(record, trace=trace, patch=patch, confine=confine)
    except BaseException:
        if record.config.auto_remove:
            remove_container(record, force=True, volumes=True)
        raise
    remove = "remove" if record.config.auto_remove else ""
    return run_background(session, program, tty=record.config.tty, on_exit=remove, supervision=supervision)


def require_not_paused(record: ContainerRecord) -> None:
    """Raise AlreadyPaused for a container whose main program is stopped for a while."""
    from rootlay.vfs.lifecycle.pause import is_paused

    if is_guest(record.real_path, record.state().pid) and is_paused(record):
        raise AlreadyPaused(record.name)


def prepare_start(record: ContainerRecord) -> None:
    """Prepare the settings of a container for a new run of its main program. Raises LimitRefused, HardLimitTooLow."""
    record.stop_mark.unlink(missing_ok=True)
    if any(bind.kind == "tmpfs" for bind in record.config.binds):
        empty_directories(record)
    if not CHILD_SETTINGS.isdisjoint(record.config.extra):
        from rootlay.vfs.settings.childsettings import child_settings

        child_settings(record)


def open_main_session(record: ContainerRecord, *, trace: str | None, patch: bool, confine: str | None) -> Session:
    """Open the session of the main program. Raises PortNotFree, and as `open_session`."""
    if trace == "-":
        trace = ""
    elif trace is not None:
        trace = os.path.abspath(trace)
        with open(trace, "ab"):  # the engine appends to it
            pass
    if record.config.ports:
        from rootlay.vfs.run.ports import require_free

        require_free(record.config.ports)
    return open_session(record, patch=patch, trace=trace, confine=confine)

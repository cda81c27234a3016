"""The shared part of run, start and exec: open a session, run the program, clean up."""

from __future__ import annotations

import os

from rootlay.cli.spec import UsageError
from rootlay.store.containers.record import ContainerConfig, ContainerRecord
from rootlay.vfs.run.program import Program, container_reader, make_program
from rootlay.vfs.run.session import Session, open_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rootlay.vfs.run.processes import Moment


def start_session(
    record: ContainerRecord,
    *,
    trace: str | None,
    patch: bool,
    confine: str | None = None,
    joins: bool = False,
) -> Session:
    if trace == "-":
        trace = ""
    elif trace is not None:
        with open(trace, "ab"):  # the engine appends to it
            pass
    if not joins and record.config.ports:
        from rootlay.vfs.run.ports import require_free

        require_free(record.config.ports)
    return open_session(record, patch=patch, trace=trace, confine=confine, joins=joins)


def can_detach(config: ContainerConfig) -> bool:
    """Return whether the user of a container's main program on a terminal may leave it: by keys, which a monitor needs.

    Its output goes through the log.
    """
    return config.tty and config.stdin and config.extra.get("log") != "none" and os.isatty(0)


def attach(
    record: ContainerRecord,
    *,
    trace: str | None,
    patch: bool,
    confine: str | None = None,
    own_group: bool = False,
    made: Moment | None = None,
) -> int:
    """Run the container's main program in the foreground; remove the container afterwards if it is configured so.

    Args:
        own_group: in a process group of its own, see rootlay.vfs.run.foreground.spawn.
        made: a moment before the container was made, if the caller has made it.
    """
    from rootlay.vfs.run.foreground import run_foreground
    from rootlay.vfs.run.removal import remove_container

    config = record.config
    try:
        if config.tty and config.stdin and not os.isatty(0):
            raise UsageError("the input device is not a terminal: use -i alone, or -t with a terminal")
        if config.extra or any(bind.kind == "tmpfs" for bind in config.binds):
            from rootlay.vfs.lifecycle.start import prepare_start

            prepare_start(record)
        program = make_program(record, container_reader(record), tty=config.tty)
        session = start_session(record, trace=trace, patch=patch, confine=confine)
        if config.tty and not os.isatty(1):
            from rootlay.vfs.run.foreground import run_in_pty

            return run_in_pty(session, program)
        supervision = None
        if "health" in config.extra:
            from rootlay.vfs.lifecycle.supervision import Supervisor

            supervision = Supervisor(record)
        return run_foreground(
            session, program, stdin=config.stdin, record_state=True, supervision=supervision, own_group=own_group
        )
    finally:
        if config.auto_remove:
            remove_container(record, force=True, volumes=True, made=made)


def run_program(record: ContainerRecord, *, trace: str | None, patch: bool, confine: str | None = None) -> None:
    """Run the container's main program in the background. Raises NotStarted."""
    from rootlay.vfs.lifecycle.start import start_container

    start_container(record, trace=trace, patch=patch, confine=confine)


def run_extra(
    record: ContainerRecord,
    program: Program,
    *,
    stdin: bool,
    tty: bool,
    trace: str | None,
    patch: bool,
    confine: str | None = None,
) -> int:
    """Run one more program in a container, in the foreground."""
    from rootlay.vfs.run.foreground import run_foreground

    if tty and stdin and not os.isatty(0):
        raise UsageError("the input device is not a terminal: use -i alone, or -t with a terminal")
    session = start_session(record, trace=trace, patch=patch, confine=confine, joins=True)
    return run_foreground(session, program, stdin=stdin, record_state=False)

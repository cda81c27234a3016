"""Start of a program by the native monitor (`vfs/csrc/monitor/launch.c`), without a copy of this process: the way of
programs that need nothing of Python while they run, and whose files are there.

The monitor gets what it is to do in a file without a name: arguments can be read by every user of the machine, and a
program's environment may have passwords in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal

from rootlay.store.containers.record import ContainerState
from rootlay.store.disk.eventlog import NAME as EVENTS
from rootlay.store.disk.smallfile import write_all
from rootlay.store.model.value import as_dict, replace
from rootlay.vfs.detached import heir
from rootlay.vfs.detached.heir import monitor_path, python_words
from rootlay.vfs.run.containerlog import LogWriter
from rootlay.vfs.run.descriptors import open_null
from rootlay.vfs.run.foreground import CHILD_SETTINGS, end_template, start_template
from rootlay.vfs.run.hydrator import spawn_native, will_be_asked
from rootlay.vfs.run.program import Program, result_of
from rootlay.vfs.run.session import Session

PLAN, REPORT = 3, heir.ATTACH + 1
"""The numbers of descriptors that `vfs/csrc/monitor/monitor.h` has besides those of rootlay.vfs.detached.heir."""
FINISHED, CODE, PID, BEGUN, MONITOR = range(8_000_000_000_000_000_001, 8_000_000_000_000_000_006)
"""Numbers that no state has: the places of the native monitor's own."""
_PLACES = {FINISHED: "\1", CODE: "\2", PID: "\5", BEGUN: "\6", MONITOR: "\7"}
_TEMPLATE_BYTES = 1 << 15
_ABOVE = 32
_AGAIN = b"again"
_NOT_NATIVE = CHILD_SETTINGS | {"log"}


def state_template(state: ContainerState) -> str:
    """Return the text of a state with the places of the native monitor."""
    text = json.dumps(as_dict(state))
    for number, place in _PLACES.items():
        text = text.replace(str(number), place)
    return text


def start_natively(session: Session, program: Program) -> int:
    """Start a program with a native monitor, and return its pid as soon as it runs; 0 if it must be started otherwise:
    the session and its listening socket are as before then.

    Raises NotStarted: the monitor was killed.
    """
    config = session.record.config
    if config.stdin or not (hasattr(os, "memfd_create") and _NOT_NATIVE.isdisjoint(config.extra)):
        return 0
    if will_be_asked(session.record):
        return 0
    with contextlib.suppress(OSError, ValueError, NotImplementedError):
        plan = _make_plan(session, program)
        said = _launch(session, plan) if plan else _AGAIN
        if said != _AGAIN:
            pid = result_of(said)
            if session.listener:
                session.listener.close()
            return pid
    return 0


def _make_plan(session: Session, program: Program) -> bytes:
    """Return the texts of the plan, in the order of launch.c; none if they are too long for the monitor."""
    record = session.record
    begun = ContainerState(PID, BEGUN, machine=os.uname().nodename, monitor=MONITOR)
    ended = replace(begun, finished_ns=FINISHED, exit_code=CODE)
    templates = (state_template(begun), state_template(ended), start_template(record), end_template(record))
    if any(len(text) > _TEMPLATE_BYTES for text in templates):
        return b""
    words = session.command(program.argv, program.cwd, program.identity, reports=True)
    variables = [f"{name}={text}" for name, text in program.env.items()]
    texts: list[str] = [
        record.real_path,
        record.id,
        *map(str, (session.launch, session.socket_path, session.trouble_path, record.root / EVENTS)),
        *templates,
    ]
    for each in (python_words(record.root, record.id, session.launch, 0), words, variables):
        texts += (str(len(each)), *each)
    return b"".join(os.fsencode(text) + b"\0" for text in texts)


def _launch(session: Session, plan: bytes) -> bytes:
    """Start the native monitor, and return what it reports. Raises OSError, ValueError, NotImplementedError."""
    heard, told = os.pipe()
    with open(heard, "rb") as report:
        with contextlib.ExitStack() as opened:
            opened.callback(os.close, told)
            child = _spawn_monitor(session, plan, told, opened)
        os.waitpid(child, 0)
        return report.read()


def _spawn_monitor(session: Session, plan: bytes, told: int, opened: contextlib.ExitStack) -> int:
    def given(fd: int) -> int:
        """Return a copy above the numbers that are used in the monitor."""
        copy = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ABOVE)
        opened.callback(os.close, copy)
        return copy

    file, null = os.memfd_create("plan", os.MFD_CLOEXEC), open_null()
    opened.callback(os.close, file)
    opened.callback(os.close, null)
    write_all(file, plan)
    log = LogWriter(session.record)
    opened.callback(log.close)
    files = dict(zip((PLAN, heir.LOG, heir.INDEX, REPORT), map(given, (file, *log.descriptors, told)), strict=True))
    if session.listener:
        files[heir.HYDRATE] = given(session.listener.fileno())
    source = given(null)
    actions: list[tuple[int, ...]] = [(os.POSIX_SPAWN_DUP2, source, number) for number in (0, 1, 2)]
    for number in range(PLAN, REPORT + 1):
        if number in files:
            actions.append((os.POSIX_SPAWN_DUP2, files[number], number))
        else:
            actions.append((os.POSIX_SPAWN_CLOSE, number))
    command = [str(monitor_path()), "launch"]
    return spawn_native(command, actions, (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD))

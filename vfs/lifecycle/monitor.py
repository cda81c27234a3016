"""The part of a detached program's monitor that needs Python, as a program of its own. The native monitor executes it,
and so does the heir of a monitor that was killed (rootlay.vfs.detached.heir).

    python -m rootlay.vfs.lifecycle.monitor ROOT CONTAINER LAUNCH --pid PID (resume | ended CODE | hydrate)
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from _socket import socket
from pathlib import Path
from typing import Any

from rootlay.store.containers.containers import Containers
from rootlay.store.containers.record import ContainerRecord
from rootlay.store.model.errors import UnknownContainer
from rootlay.vfs.detached import heir
from rootlay.vfs.detached.background import LINGER_S, Monitor
from rootlay.vfs.detached.heir import Heir, new_channel
from rootlay.vfs.lifecycle.supervision import Supervisor
from rootlay.vfs.run.hydrator import HydratorProcess, serve_session
from rootlay.vfs.run.program import container_reader, make_program
from rootlay.vfs.run.relay import Streams
from rootlay.vfs.run.session import Session, engine_path

_ABOVE = 32


def main(words: list[str]) -> None:
    """Run the program; its words are in the head of the module."""
    root, identity, launch, _, pid, action, *rest = words
    try:
        record = Containers(Path(root)).find(identity)
    except UnknownContainer:
        return
    taken = {number: _take(number) for number in range(heir.OUT, heir.ATTACH + 1)}
    session = _session(record, Path(launch), taken[heir.HYDRATE])
    if action == "hydrate":
        lifeline, _ = os.pipe()
        serve_session(session, lifeline, LINGER_S)
        return
    channel = _channel(taken[heir.CHANNEL])
    hydrator = HydratorProcess(0, taken[heir.LIFELINE]) if taken[heir.LIFELINE] >= 0 else None
    program = make_program(record, container_reader(record), tty=record.config.tty)
    monitor = Monitor(session, program, record.config.tty, Supervisor(record), Heir(channel), hydrator=hydrator)
    streams = Streams.inherited(taken[heir.OUT], taken[heir.ERR], taken[heir.SINK], tty=record.config.tty)
    monitor.resume(streams, taken[heir.ATTACH], int(pid), int(rest[0]) if action == "ended" else None)


def _take(number: int) -> int:
    """Move a descriptor away from its fixed number; -1 if it is closed."""
    with contextlib.suppress(OSError):
        moved = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _ABOVE)
        os.close(number)
        return moved
    return -1


def _channel(fd: int) -> Any:
    import socket as sockets

    return sockets.socket(fileno=fd) if fd >= 0 else new_channel()[0]


def _session(record: ContainerRecord, launch: Path, listener: int) -> Session:
    place = launch.with_name(launch.name.replace("launch", "hydrate", 1))
    return Session(record, engine_path(), launch, socket(fileno=listener) if listener >= 0 else None, place)


if __name__ == "__main__":
    main(sys.argv[1:])

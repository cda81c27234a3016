"""Further programs in a container that are made first and started later: Docker's exec instances.

Rules:
1. An instance is the file `exec-<id>.json` in the container's directory (docs/format.md §9). The first half of its ID
   is the container's, so that the ID alone leads to it.
2. The process that starts an instance waits for it and records its end. The client may leave before.
3. Records of ended instances are removed when a later one is made, after `KEPT_S`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

from rootlay.store.containers.containers import Containers
from rootlay.store.containers.record import ContainerRecord
from rootlay.store.disk.durable import replace_file
from rootlay.store.disk.smallfile import read_small
from rootlay.store.model.errors import RootlayError, UnknownContainer
from rootlay.store.model.value import as_dict, replace, value
from rootlay.vfs.run.containerlog import STDERR
from rootlay.vfs.run.foreground import exit_code, spawn
from rootlay.vfs.run.hydrator import fork_hydrator
from rootlay.vfs.run.processes import is_guest
from rootlay.vfs.run.program import Program, result_of
from rootlay.vfs.run.relay import Relay, Streams
from rootlay.vfs.run.session import Session

KEPT_S = 300
_ID = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"exec-([0-9a-f]{64})\.json")


class UnknownExec(RootlayError):
    """No exec instance of that ID."""

    def __init__(self, identity: str) -> None:
        super().__init__(f"No such exec instance: {identity}")
        self.identity = identity


@value
class Exec:
    """An exec instance. `size` is (rows, columns); `exit_code` is None until its end; times in ns since the epoch."""

    id: str
    argv: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str | None = None
    user: str | None = None
    tty: bool = False
    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    privileged: bool = False
    detach_keys: str = ""
    pid: int = 0
    started_ns: int = 0
    finished_ns: int = 0
    exit_code: int | None = None

    def runs_in(self, record: ContainerRecord) -> bool:
        """Return whether its program runs."""
        return bool(self.started_ns) and not self.finished_ns and (not self.pid or is_guest(record.real_path, self.pid))


def create_exec(record: ContainerRecord, wanted: Exec) -> Exec:
    """Record an instance, with a new ID."""
    _remove_old(record)
    made = replace(wanted, id=record.id[:32] + os.urandom(16).hex())
    save_exec(record, made)
    record.note(f"exec_create: {' '.join(made.argv)}", execID=made.id)
    return made


def save_exec(record: ContainerRecord, instance: Exec) -> None:
    """Replace the record of an instance. Atomic; a container that was removed in the meantime is no error."""
    with contextlib.suppress(FileNotFoundError):
        replace_file(record.path / f"exec-{instance.id}.json", json.dumps(as_dict(instance)).encode())


def find_exec(root: Path, identity: str) -> tuple[ContainerRecord, Exec]:
    """Return an instance and its container. Raises UnknownExec."""
    if not _ID.fullmatch(identity):
        raise UnknownExec(identity)
    try:
        record = Containers(root).find(identity[:32])
        data = json.loads(read_small(record.path / f"exec-{identity}.json"))
    except (UnknownContainer, FileNotFoundError):
        raise UnknownExec(identity) from None
    return record, Exec(**{**data, "argv": tuple(data["argv"]), "env": tuple(data["env"])})


def list_execs(record: ContainerRecord) -> list[str]:
    """Return the IDs of the instances of a container."""
    with contextlib.suppress(FileNotFoundError):
        return [found[1] for name in os.listdir(record.path) if (found := _NAME.fullmatch(name))]
    return []


def _remove_old(record: ContainerRecord) -> None:
    limit = time.time() - KEPT_S
    for identity in list_execs(record):
        path = record.path / f"exec-{identity}.json"
        with contextlib.suppress(OSError, ValueError):
            if path.stat().st_mtime < limit and json.loads(read_small(path))["finished_ns"]:
                path.unlink()


def run_exec(
    session: Session,
    program: Program,
    instance: Exec,
    emit: Callable[[int, bytes], None],
    *,
    client: socket.socket | None = None,
    early: bytes = b"",
    size: tuple[int, int] = (24, 80),
    begun: Callable[[], None] = lambda: None,
) -> int:
    """Start an instance's program, relay its streams until it ends, and return its exit code. See Relay.

    Raises NotStarted; the exit code is recorded in that case too.

    Args:
        emit: receives the output.
        client: the source of the input, after the bytes `early`.
        size: rows and columns of the terminal.
        begun: called when the program runs, or has failed to start.
    """
    record = session.record
    hydrator = fork_hydrator(session)
    streams = Streams(tty=instance.tty, stdin=instance.stdin, size=size)
    relay = Relay(streams, emit, once=True)
    heard, told = os.pipe()
    with streams.in_place():
        pid = spawn(session, program, stdin=True, new_session=True, report=told)
    os.close(told)
    running = replace(instance, pid=pid, started_ns=time.time_ns())
    save_exec(record, running)
    record.note(f"exec_start: {' '.join(instance.argv)}", execID=instance.id)
    with open(heard, "rb") as pipe:
        said = pipe.read()
    begun()
    if client is not None and instance.stdin:
        relay.add_input(early)
        relay.add_client(os.dup(client.fileno()))
    trouble = bool(said) and not said.endswith(b"\n")
    if trouble:
        relay.silence()  # the engine's own words; the caller gets them as an error
    code = exit_code(relay.run(pid))
    hydrator.release()
    save_exec(record, replace(running, finished_ns=time.time_ns(), exit_code=code))
    record.note("exec_die", execID=instance.id, exitCode=str(code))
    relay.close()
    if trouble:
        result_of(b"%d\n%b" % (code, said[:-1]))
    emit(STDERR, session.trouble())
    return code

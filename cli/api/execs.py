"""`/exec`: further programs in a running container."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import Any

from rootlay.cli.api.call import Call, Reply
from rootlay.cli.api.errors import ApiError, bad_parameter, conflict, missing_directory, not_started, unknown_user
from rootlay.cli.api.shapes import EXEC, EXEC_START
from rootlay.cli.api.streams import framed, kind_of, terminal_size
from rootlay.store.containers.record import ContainerRecord
from rootlay.store.model.value import replace
from rootlay.vfs.containers.mounted import require_directory
from rootlay.vfs.docker.containers import status_of
from rootlay.vfs.run.containerlog import STDERR, STDOUT
from rootlay.vfs.run.execs import Exec, create_exec, find_exec, run_exec, save_exec
from rootlay.vfs.run.program import MissingDirectory, NotStarted, Program, container_reader, make_program
from rootlay.vfs.run.session import open_session
from rootlay.vfs.run.terminal import resize_terminal
from rootlay.vfs.run.user import UnknownUser

_STARTED_S = 10.0
"""Time that the start of a program may take until its terminal has a size: as long as Docker waits."""
_ASK_S = 0.01


def create(call: Call) -> Reply:
    """POST /containers/{id}/exec"""
    record, body = call.container(), call.exchange.json(EXEC)
    _check(record, call.names["id"])
    argv = body.get("Cmd") or []
    if not argv or not all(isinstance(word, str) for word in argv):
        raise bad_parameter("No exec command specified")
    made = create_exec(
        record,
        Exec(
            "", tuple(argv), env=tuple(body.get("Env") or ()), cwd=body.get("WorkingDir") or None,
            user=body.get("User") or None, tty=bool(body.get("Tty")), stdin=bool(body.get("AttachStdin")),
            stdout=bool(body.get("AttachStdout")), stderr=bool(body.get("AttachStderr")),
            privileged=bool(body.get("Privileged")), detach_keys=str(body.get("DetachKeys") or ""),
        ),
    )  # fmt: skip
    return Reply(201, {"Id": made.id})


def _check(record: ContainerRecord, name: str) -> None:
    status = status_of(record)
    if status.kind == "paused":
        raise conflict(f"Container {name} is paused, unpause the container before exec")
    if not status.running:
        raise conflict(f"container {record.id} is not running")


def start(call: Call) -> Reply | None:
    """POST /exec/{id}/start"""
    body = call.exchange.json(EXEC_START)
    record, instance = find_exec(call.root, call.names["id"])
    _check(record, record.id)
    if instance.started_ns:
        raise conflict(f"Error: Exec command {instance.id} is already running or has ended")
    environment = dict(entry.partition("=")[::2] for entry in instance.env)
    try:
        require_directory(record, instance.cwd)
        program = make_program(
            record, container_reader(record), argv=instance.argv, env=environment, cwd=instance.cwd,
            user=instance.user, tty=instance.tty,
        )  # fmt: skip
    except (UnknownUser, MissingDirectory) as error:
        said = unknown_user(error) if isinstance(error, UnknownUser) else missing_directory(error)
        _refuse(call, record, instance, said, detached=bool(body.get("Detach")))
        return None
    size = body.get("ConsoleSize")
    rows_columns = (int(size[0]), int(size[1])) if size and len(size) == 2 and all(size) else (24, 80)
    if body.get("Detach"):
        _start_detached(record, instance, program, rows_columns)
        return Reply(200)
    client, early = call.exchange.take_over(kind_of(call, instance.tty))
    wanted = frozenset(s for s, on in ((STDOUT, instance.stdout), (STDERR, instance.stderr)) if on or instance.tty)
    send = framed(client.sendall, instance.tty, wanted)
    left: list[bool] = []

    def emit(stream: int, data: bytes) -> None:
        if not left:
            try:
                send(stream, data)
            except OSError:  # the client has left; the program goes on
                left.append(True)

    session = open_session(record, joins=True)
    try:
        run_exec(session, program, instance, emit, client=client, early=early, size=rows_columns)
    except NotStarted as error:
        said = not_started(record, instance.argv[0], error)
        emit(STDOUT, f"OCI runtime exec failed: exec failed: unable to start container process: {said}\r\n".encode())
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)
    return None


def _refuse(call: Call, record: ContainerRecord, instance: Exec, said: str, *, detached: bool) -> None:
    """Answer for a program that cannot be started: clients show what is said, and exit with 126, as Docker's do."""
    now = time.time_ns()
    save_exec(record, replace(instance, started_ns=now, finished_ns=now, exit_code=126))
    if detached:
        raise bad_parameter(said)
    client, _ = call.exchange.take_over(kind_of(call, instance.tty))
    with contextlib.suppress(OSError):
        framed(client.sendall, instance.tty, frozenset({STDOUT}))(STDOUT, f"{said}\r\n".encode())
        client.shutdown(socket.SHUT_RDWR)


def _start_detached(record: ContainerRecord, instance: Exec, program: Program, size: tuple[int, int]) -> None:
    """Start it in a process of its own, which waits for it."""
    ready, begun = os.pipe()
    child = os.fork()
    if child:
        os.close(begun)
        os.waitpid(child, 0)
        os.read(ready, 1)  # nothing: it is closed when the program has been started, or at the end
        os.close(ready)
        return
    try:
        os.setsid()
        if os.fork() == 0:
            session = open_session(record, joins=True)
            os.close(ready)
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            with contextlib.suppress(NotStarted):  # its exit code is recorded
                run_exec(
                    session, program, instance, lambda stream, data: None, size=size, begun=lambda: os.close(begun)
                )
    finally:
        os._exit(0)


def resize(call: Call) -> Reply:
    """POST /exec/{id}/resize"""
    rows, columns = terminal_size(call)
    deadline = time.monotonic() + _STARTED_S
    while True:  # clients ask as soon as they have the head of the answer to `start`
        record, instance = find_exec(call.root, call.names["id"])
        if instance.finished_ns:
            raise ApiError(404, f"process does not exist {instance.id}: not found")
        if instance.runs_in(record) and (not instance.tty or resize_terminal(instance.pid, rows, columns)):
            return Reply(200)
        if time.monotonic() > deadline or call.exchange.client_left():
            raise ApiError(500, "timeout waiting for exec session ready")
        time.sleep(_ASK_S)


def inspect(call: Call) -> dict[str, Any]:
    """GET /exec/{id}/json"""
    record, instance = find_exec(call.root, call.names["id"])
    running = instance.runs_in(record)
    code = instance.exit_code
    if code is None and instance.started_ns and not running:
        code = 137
    return {
        "ID": instance.id,
        "Running": running,
        "ExitCode": None if running else code,
        "ProcessConfig": {
            "tty": instance.tty,
            "entrypoint": instance.argv[0],
            "arguments": list(instance.argv[1:]),
            "privileged": instance.privileged,
            **({"user": instance.user} if instance.user else {}),
        },
        "OpenStdin": instance.stdin,
        "OpenStderr": instance.stderr,
        "OpenStdout": instance.stdout,
        "CanRemove": False,
        "ContainerID": record.id,
        "DetachKeys": instance.detach_keys,
        "Pid": instance.pid,
    }
